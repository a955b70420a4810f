"""The document as others may see it: secrets are replaced."""

from __future__ import annotations

import copy
import re
from typing import Any, Final

from fastgw.gateway.document.files import SECRETS, places

MASK: Final = "********"

HEADERS: Final = (("routes", "*", "rewrite", "request_headers", "set", "*"),
                  ("routes", "*", "rewrite", "response_headers", "set", "*"),
                  ("tests", "*", "headers", "*"))  # fmt: skip
# Headers that carry credentials, by name.
SENSITIVE_SEARCH: Final = re.compile(r"authorization|cookie|token|secret|password|api-?key", re.IGNORECASE)
URL_PASSWORD: Final = re.compile(r"(?<=://)[^/@]*:[^/@]*(?=@)|(?<=://)[^/@:]+(?=@)")


def masked(plain: dict[str, Any]) -> dict[str, Any]:
    """A copy without secrets."""
    result = copy.deepcopy(plain)
    for pattern in SECRETS:
        for node, key, _ in places(result, pattern, ()):
            if node[key]:
                node[key] = MASK
    for pattern in HEADERS:
        for node, key, _ in places(result, pattern, ()):
            if SENSITIVE_SEARCH.search(str(key)):
                node[key] = MASK
    for node, key, _ in places(result, ("redis", "url"), ()):
        if isinstance(node[key], str):
            node[key] = URL_PASSWORD.sub(MASK, node[key])
    return result
