"""The files of the dashboard, read once: path -> content and its type.

What lives here: which file is served where. What may not: headers and who may have them (the API), what the page does
(the files themselves, in dashboard_files).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "dashboard_files"

# A file of any other kind in the folder is not served.
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}

# The page loads nothing but these files and talks to nobody but this API; no page may frame it.
SECURITY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def files() -> Mapping[str, tuple[bytes, str]]:
    """`/` is the page itself, all else is below `/assets`."""
    found: dict[str, tuple[bytes, str]] = {}
    for file in sorted(FOLDER.rglob("*")):
        if file.suffix in _TYPES and file.is_file():
            name = file.relative_to(FOLDER).as_posix()
            path = "/" if name == "index.html" else f"/assets/{name}"
            found[path] = (file.read_bytes(), _TYPES[file.suffix])
    return found
