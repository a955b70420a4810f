"""libyaml's complaints in plain words, with what to do about them."""

from __future__ import annotations

import yaml
from yaml.reader import ReaderError

# What libyaml says -> what is wrong and what would be right. Anything else is shown as libyaml says it.
WORDS = {
    "found a tab character that violates indentation": "a tab is used for indentation; use spaces",
    "found a tab character where an indentation space is expected": "a tab is used for indentation; use spaces",
    "mapping values are not allowed in this context": (
        "a colon stands where no key can be; check the indentation, or quote the value that holds `: `"
    ),
    "found character that cannot start any token": (
        "no value can begin with this character; quote the value, and use spaces for indentation"
    ),
    "found unexpected end of stream": "the quotation that begins here has no end; add the closing quotation mark",
    "could not find expected ':'": "this is no `key: value`; add the colon, or check the indentation",
    "did not find expected key": "this line does not fit the block around it; check its indentation",
    "did not find expected '-' indicator": "this line does not fit the list around it; check its indentation",
    "found incompatible YAML document": "this is another YAML version; remove the %YAML line",
    "found invalid Unicode character escape code": "this \\u escape is no character; write the character itself",
    "found undefined tag handle": "tags are not supported; quote the value",
}


def explain(error: yaml.YAMLError, data: bytes) -> tuple[int, str]:
    """Line and message."""
    if isinstance(error, ReaderError):
        return _unreadable(error, data)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return 1, f"this is not YAML ({error}); see the example configuration"
    problem = getattr(error, "problem", None) or "it cannot be read"
    context = getattr(error, "context_mark", None)
    row = mark.line
    if problem == "found unexpected end of stream" and context is not None:
        row = context.line
    line = _line(data, row)
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return row + 1, "a tab is used for indentation; use spaces"
    if problem.startswith("did not find expected ','"):
        bracket = "{" if "'}'" in problem else "["
        where = f" (opened in line {context.line + 1})" if context is not None and context.line != row else ""
        if "${" in line:
            return row + 1, 'a ${VAR} inside {} or [] must be quoted; write "${VAR}"'
        return (
            row + 1,
            f"a comma or the end of the {bracket} is missing here{where}; add it, or quote what holds {{}} or []",
        )
    return row + 1, WORDS.get(
        problem, f"this is not YAML: {problem}; check the quotation marks and the indentation"
    )


def _unreadable(error: ReaderError, data: bytes) -> tuple[int, str]:
    line = data.count(b"\n", 0, error.position) + 1
    if "control characters" in error.reason:
        return line, f"there is a control character (0x{error.character:02x}); is this a text file? remove it"
    return line, f"this is not UTF-8 (at byte {error.position}: {error.reason}); save the file as UTF-8 text"


def _line(data: bytes, row: int) -> str:
    lines = data.split(b"\n", row + 1)
    return lines[row].decode(errors="replace") if row < len(lines) else ""
