"""From the bytes of a YAML file to plain values, and back from a path in them to a line.

Over the events of libyaml: PyYAML's own loaders know neither lines nor YAML 1.2, and keep the last of two equal
keys. Aliases, anchors, tags and further documents are refused. What keys mean is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml._yaml import CParser

from fastgw.config.errors import Problem
from fastgw.config.expand import expand
from fastgw.config.paths import Path, text_of
from fastgw.config.scalars import NUMBER_STARTS, WORDS, resolve
from fastgw.config.syntax import explain

MAX_DEPTH: Final = 64  # the deepest legal document has 6 levels
MAX_PROBLEMS: Final = 1000  # a generated file with the same mistake everywhere: enough is enough

Container = dict[str, Any] | list[Any]


@dataclass(slots=True)
class Source:
    """A file that was read: its values, and where they stand."""

    file: str
    plain: Any = None
    whole: bool = False  # the values are all there (some may still be wrong)
    problems: list[Problem] = field(default_factory=list)
    reported: set[Path] = field(
        default_factory=set
    )  # where a problem is known, so that nobody complains again
    # By identity of the container: the line of each of its entries, in their order. A dict's order is that of the
    # file, so a line is found by position; values may be replaced in place, entries may not be moved.
    _lines: dict[int, list[int]] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of what `path` leads to, or of the nearest thing around it that exists."""
        node, line = self.plain, 1
        for step in path:
            lines = self._lines.get(id(node))
            if lines is None or not lines:
                break
            if isinstance(node, dict) and step in node:
                position = list(node).index(str(step))
                node = node[str(step)]
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                position = step
                node = node[step]
            else:
                break
            if position >= len(lines):  # an entry that was added after reading
                break
            line = lines[position]
        return line

    def problem(self, path: Path, message: str, line: int = 0) -> None:
        self.problems.append(Problem(self.file, line or self.line(path), text_of(path), message))
        self.reported.add(path)


def parse(data: bytes, file: str, environ: Mapping[str, str]) -> Source:
    """The values of `data`, and what is wrong with them as YAML."""
    source = Source(file)
    try:
        parser = CParser(data)
        try:
            _Builder(source, parser, environ).build()
        finally:
            parser.dispose()
    except yaml.YAMLError as error:
        source.whole = False
        line, message = explain(error, data)
        source.problem((), message, line)
    return source


class _Stop(Exception):
    """What follows cannot be understood."""


class _Builder:
    """Takes events, makes values. One pass, no recursion."""

    __slots__ = ("_depth", "_environ", "_parser", "_path", "_source")

    def __init__(self, source: Source, parser: Any, environ: Mapping[str, str]) -> None:
        self._source = source
        self._parser = parser
        self._environ = environ
        # Of each open container: itself, its lines, and in a mapping the key whose value comes next (else None).
        self._path: list[tuple[Container, list[int], str | None]] = []

    def build(self) -> None:
        parser = self._parser
        parser.get_event()  # stream start
        if isinstance(parser.get_event(), yaml.StreamEndEvent):
            self._fail(1, "the file is empty; it needs at least listeners, upstreams and routes")
            return
        try:
            self._source.plain = self._document()
            parser.get_event()  # document end
            event = parser.get_event()
            if not isinstance(event, yaml.StreamEndEvent):
                self._fail(
                    event.start_mark.line + 1, "a second document begins; keep one, and no `---` between"
                )
                return
            self._source.whole = True
        except _Stop:
            pass

    def _document(self) -> Any:
        """The hot loop: 600,000 events for 10,000 routes with every policy. Local names and
        one comparison of types per event keep it near 1 us each."""
        get_event = self._parser.get_event
        scalar_event, mapping_event, sequence_event = (
            yaml.ScalarEvent,
            yaml.MappingStartEvent,
            yaml.SequenceStartEvent,
        )
        all_lines = self._source._lines
        stack = self._path
        node: Container | None = None
        lines: list[int] = []
        key: str | None = None
        opened: Container | None
        while True:
            event: Any = get_event()
            kind = type(event)
            if kind is scalar_event:
                if event.tag is not None or event.anchor is not None:
                    self._refuse_marks(event)
                if type(node) is dict and key is None:
                    key = self._key(event, node, lines)
                    continue
                value: Any = event.value
                # Plain scalars that are not plainly text, and everything with a reference.
                if "${" in value:
                    value = self._expanded(event, node, lines, key)
                elif event.implicit[0] and (not value or value[0] in NUMBER_STARTS or value in WORDS):
                    value = self._typed(event, node, lines, key)
                opened = None
            elif kind is mapping_event or kind is sequence_event:
                if event.tag is not None or event.anchor is not None:
                    self._refuse_marks(event)
                if type(node) is dict and key is None:
                    self._refuse_key(event)
                opened = {} if kind is mapping_event else []
                value = opened
            elif kind is yaml.AliasEvent:
                self._refuse_alias(event, node, key)
                value, opened = None, None
            else:  # the end of a mapping or a sequence
                if not stack:
                    return node
                node, lines, key = stack.pop()
                if type(node) is dict:
                    key = None
                continue
            if type(node) is dict:
                node[key] = value  # type: ignore[index]  # a key was read: the first branch saw to it
            elif node is not None:
                node.append(value)  # type: ignore[union-attr]  # not a dict, see above
                lines.append(event.start_mark.line + 1)
            elif opened is None:
                return value
            if opened is None:
                key = None
            else:
                if node is not None:
                    stack.append((node, lines, key))
                    if len(stack) > MAX_DEPTH:
                        self._refuse_depth(event)
                node, lines, key = opened, [], None
                all_lines[id(opened)] = lines

    def _key(self, event: Any, node: dict[str, Any], lines: list[int]) -> str:
        key: str = event.value
        line: int = event.start_mark.line + 1
        if key in node:
            first = lines[list(node).index(key)]
            message = f"the key stands there twice (first in line {first}); remove one"
            self._fail(line, message, (*self._place(node, None), key))
        else:
            node[key] = None
            lines.append(line)
        return key

    def _expanded(self, event: Any, node: Any, lines: list[int], key: str | None) -> Any:
        """Text, so that a secret of digits keeps its zeros; types of number take text. Words and nothing are typed."""
        try:
            text = expand(event.value, self._environ)
        except ValueError as error:
            self._fail(event.start_mark.line + 1, str(error), self._place(node, key))
            return event.value
        return WORDS.get(text, text) if event.implicit[0] else text

    def _typed(self, event: Any, node: Any, lines: list[int], key: str | None) -> Any:
        try:
            return resolve(event.value)
        except ValueError as error:
            self._fail(event.start_mark.line + 1, str(error), self._place(node, key))
            return event.value

    def _place(self, node: Any, key: str | None) -> Path:
        steps: list[str | int] = []
        for item, _, step in self._path:
            # What is open now was already added to the list around it.
            steps.append(len(item) - 1 if step is None else step)
        if type(node) is list:
            steps.append(len(node))
        elif type(node) is dict and key is not None:
            steps.append(key)
        return tuple(steps)

    def _refuse_marks(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if event.anchor is not None:
            self._fail(line, f"&{event.anchor} is an anchor; aliases are not supported: write the value out")
        if event.tag is not None:
            self._fail(line, f"the tag {event.tag[:40]} is not supported; remove it, and quote what is text")

    def _refuse_alias(self, event: Any, node: Any, key: str | None) -> None:
        where = self._place(node, key)
        self._fail(event.start_mark.line + 1, f"*{event.anchor} is an alias; write the value out", where)
        if type(node) is dict and key is None:
            raise _Stop

    def _refuse_key(self, event: Any) -> None:
        self._fail(event.start_mark.line + 1, "a key must be text; inside {} and [] quote ${VAR}")
        raise _Stop

    def _refuse_depth(self, event: Any) -> None:
        self._fail(event.start_mark.line + 1, f"this is nested deeper than {MAX_DEPTH} levels; flatten it")
        raise _Stop

    def _fail(self, line: int, message: str, path: Path = ()) -> None:
        self._source.problem(path, message, line)
        if len(self._source.problems) >= MAX_PROBLEMS:
            raise _Stop
