"""`${VAR}` and `${VAR:-default}` in the values of files. `$${` stands for a literal `${`; nothing is nested."""

from __future__ import annotations

import re
from collections.abc import Mapping

REFERENCE = re.compile(r"\$(\$)?\{([^}]*)(\})?")
VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

HELP = "write ${VAR} or ${VAR:-default}, or $${ for a literal ${"


def expand(text: str, environ: Mapping[str, str]) -> str:
    """ValueError says what is wrong. As in a shell, the default also stands in for an empty variable."""

    def value_of(match: re.Match[str]) -> str:
        escaped, inside, closed = match.groups()
        if escaped:
            return match[0][1:]
        variable = VARIABLE.fullmatch(inside) if closed else None
        if variable is None:
            raise ValueError(f"{match[0][:40]} is no reference to a variable; {HELP}")
        name, default = variable.groups()
        value = environ.get(name, "")
        if not value:
            if default is not None:
                return default
            if name not in environ:
                raise ValueError(f"the variable {name} is not set; set it, or write ${{{name}:-default}}")
        return _checked(name, value)

    return REFERENCE.sub(value_of, text)


def _checked(name: str, value: str) -> str:
    # The value itself is not repeated: it may be a secret.
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the variable {name} is not UTF-8; set it to text") from None
    return value
