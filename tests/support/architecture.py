"""The rules that keep the shape of the source, each a function from files to what is wrong with them.

They read syntax trees and import nothing. A new rule is a function here, a line in RULES, and a refused and
an accepted tree in tests/test_architecture.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FLOORS: Mapping[str, int] = {
    "__init__": 0,  # the vocabulary and the version
    "errors": 0,
    "clock": 0,
    "model": 1,
    "http1": 2,
    "limiter": 2,
    "versions": 2,
    "ipc": 2,
    "config": 2,
    "routing": 3,
    "policy": 3,
    "upstream": 3,
    "account": 3,
    "gateway": 4,
    "edge": 5,
    "worker": 6,
    "control": 6,
    "supervisor": 7,
    "cli": 8,
    "__main__": 9,
}
# Library -> the only parts of fastgw that may know it.
OWNERS: Mapping[str, frozenset[str]] = {
    "httptools": frozenset({"http1"}),
    "redis": frozenset({"limiter", "versions"}),
    "hiredis": frozenset({"limiter", "versions"}),
    "aiohttp": frozenset({"control"}),
    "aiodns": frozenset({"control"}),
    "prometheus_client": frozenset({"control"}),
    "uvloop": frozenset({"worker", "control"}),
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "yaml": frozenset({"config"}),
}
# Part -> what it must never import, whatever the floors say.
NEVER: Mapping[str, frozenset[str]] = {
    "http1": frozenset({"asyncio", "socket", "ssl", "select"}),  # bytes in, decisions out
    "supervisor": frozenset({"asyncio", "threading", "concurrent", "http"}),  # no loop, no threads, no HTTP
    "control": frozenset({"fastgw.edge", "fastgw.worker"}),
    "model": frozenset({"asyncio"}),
}
# Everywhere below the processes and in them, the clock is passed in and nothing blocks a loop for a while.
BANNED_CALLS: Mapping[str, str] = {
    "time.sleep": "wait for an event",
    "time.time": "the clock is passed in",
    "time.monotonic": "the clock is passed in",
    "socket.getaddrinfo": "names are resolved in control's threads",
    "subprocess.run": "nothing is run from the data plane",
}
DATA_PLANE = frozenset({"model", "http1", "routing", "policy", "upstream", "account", "gateway", "edge"})

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_DOCSTRING_LINES = 10
LONG_FUNCTIONS: Mapping[tuple[str, str], str] = {
    ("fastgw/config/yaml.py", "_document"): "the hot loop of reading: 600,000 events for 10,000 routes",
    (
        "fastgw/control/process.py",
        "__init__",
    ): "the composition root of control: one constructor after another",
}
VAGUE = re.compile(r"_?(utils?|utilities|helpers?|common|managers?|misc|stuff|shared)")
MUTABLE_MAKERS = frozenset(
    {
        *(
            "dict",
            "list",
            "set",
            "bytearray",
            "deque",
            "defaultdict",
            "Counter",
            "OrderedDict",
            "count",
            "cycle",
        ),
        *(
            "WeakKeyDictionary",
            "WeakValueDictionary",
            "WeakSet",
            "ContextVar",
            "local",
            "Queue",
            "SimpleQueue",
        ),
        *("Lock", "RLock", "Event", "Condition", "Semaphore", "Future", "ThreadPoolExecutor"),
        *("CollectorRegistry", "Gauge", "Histogram"),
    }
)
MUTATORS = frozenset(
    {
        *(
            "append",
            "appendleft",
            "extend",
            "insert",
            "add",
            "update",
            "setdefault",
            "pop",
            "popleft",
            "popitem",
        ),
        *("remove", "discard", "clear", "sort", "reverse"),
    }
)
CACHES = frozenset({"cache", "lru_cache", "cached"})
DISPLAYS = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)


@dataclass(frozen=True)
class Source:
    path: str  # with slashes, from the root of the repository
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def part(self) -> str | None:
        """The folder of fastgw/ it stands in, or the name of a file directly in it; None outside."""
        steps = self.path.removesuffix(".py").split("/")
        return steps[1] if steps[0] == "fastgw" and len(steps) > 1 else None

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Line and full name; `from a import b` is `a.b`; a relative import keeps its dots."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                origin = "." * node.level + (node.module or "")
                found += [(node.lineno, f"{origin}.{alias.name}") for alias in node.names]
        return found

    def at(self, line: int, what: str) -> str:
        return f"{self.path}:{line}: {what}"


Rule = Callable[[list[Source]], Iterator[str]]


def read_tree(root: Path, *folders: str) -> list[Source]:
    files = [file for folder in folders for file in sorted((root / folder).rglob("*.py"))]
    return [Source(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")) for file in files]


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def parts_of(sources: list[Source]) -> Iterator[tuple[Source, str]]:
    for source in sources:
        if source.part is not None:
            yield source, source.part


def floors(sources: list[Source]) -> Iterator[str]:
    """Imports go down, or stay in their own folder."""
    for source, part in parts_of(sources):
        if part not in FLOORS:
            yield source.at(1, f"fastgw/{part} stands on no floor")
            continue
        for line, name in source.imports:
            if name.startswith("."):
                yield source.at(line, f"a relative import ({name}): write the whole name")
            if not within(name, "fastgw"):
                continue
            other = [*name.split("."), "__init__"][1]
            other = "__init__" if other.startswith("__version") else other
            if other not in FLOORS:
                yield source.at(line, f"{name} stands on no floor")
            elif other != part and FLOORS[other] >= FLOORS[part]:
                yield source.at(line, f"{part} (floor {FLOORS[part]}) imports {name} (floor {FLOORS[other]})")


def owners(sources: list[Source]) -> Iterator[str]:
    """A library is known to one part only, so that it can be replaced there."""
    for source, part in parts_of(sources):
        for line, name in source.imports:
            library = name.split(".")[0]
            if library in OWNERS and part not in OWNERS[library]:
                yield source.at(
                    line, f"{part} imports {library}: only {', '.join(sorted(OWNERS[library]))} may"
                )


def never(sources: list[Source]) -> Iterator[str]:
    """What a part must stay clear of, for the reason that NEVER gives."""
    for source, part in parts_of(sources):
        for line, name in source.imports:
            if any(within(name, banned) for banned in NEVER.get(part, ())):
                yield source.at(line, f"{part} must never import {name}")


def imports_by_name(sources: list[Source]) -> Iterator[str]:
    """Imports by computed names escape the floors: only the group of verbs does it, to be quick."""
    for source, part in parts_of(sources):
        for line, name in source.imports:
            if within(name, "importlib") and part != "cli":
                yield source.at(line, "an import by a computed name hides from these rules")


def banned_calls(sources: list[Source]) -> Iterator[str]:
    """The data plane neither blocks nor looks at a clock of its own."""
    for source, part in parts_of(sources):
        if part not in DATA_PLANE:
            continue
        for line, name in source.imports:
            if name in BANNED_CALLS:
                yield source.at(line, f"{name}: {BANNED_CALLS[name]}")
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in BANNED_CALLS:
                yield source.at(node.lineno, f"{name}: {BANNED_CALLS[name]}")


def file_lengths(sources: list[Source]) -> Iterator[str]:
    """One file, one concept."""
    for source in sources:
        lines = len(source.text.splitlines())
        if lines > MAX_FILE_LINES:
            yield source.at(
                lines, f"{lines} lines, {MAX_FILE_LINES} are allowed: which second concept is in it?"
            )


def function_lengths(sources: list[Source]) -> Iterator[str]:
    """A function fits on a screen; the exceptions give their reason, and go when they are not needed."""
    needed = set()
    for source in sources:
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines <= MAX_FUNCTION_LINES:
                continue
            needed.add((source.path, node.name))
            if (source.path, node.name) not in LONG_FUNCTIONS:
                yield source.at(
                    node.lineno, f"{node.name}() has {lines} lines, {MAX_FUNCTION_LINES} are allowed"
                )
    known = {source.path for source in sources}
    for path, name in LONG_FUNCTIONS:
        if path in known and (path, name) not in needed:
            yield f"{path}: {name}() is short now; take it off LONG_FUNCTIONS"


def names(sources: list[Source]) -> Iterator[str]:
    """A name says what is in it."""
    for source in sources:
        for step in source.path.removesuffix(".py").split("/"):
            if VAGUE.fullmatch(step.removeprefix("test_")):
                yield source.at(1, f"`{step}` could hold anything, and will")


def inits(sources: list[Source]) -> Iterator[str]:
    """`__init__.py` says what the folder is for; only the root's also states the version."""
    for source in sources:
        if not source.path.endswith("/__init__.py"):
            continue
        body = list(source.tree.body)
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]
        else:
            yield source.at(1, "no docstring")
        for node in body:
            version = isinstance(node, ast.Assign) and ast.unparse(node).startswith("__version__ = '")
            if not (version and source.path == "fastgw/__init__.py"):
                yield source.at(node.lineno, "logic in __init__.py")


def docstrings(sources: list[Source]) -> Iterator[str]:
    """Each module of the gateway says what lives there, in under ten lines; indented tables come on top."""
    for source, part in parts_of(sources):
        text = ast.get_docstring(source.tree, clean=False)  # indented tables stay indented
        if text is None:
            yield source.at(1, "no docstring: what lives here, and what may not?")
        elif (
            part != "__init__"
            and sum(line[:1].strip() != "" for line in text.splitlines()) >= MAX_DOCSTRING_LINES
        ):
            yield source.at(1, f"{MAX_DOCSTRING_LINES} lines of docstring or more: an essay")


def module_state(sources: list[Source]) -> Iterator[str]:
    """Nothing mutable outlives its owner: tables are written once, where they stand.

    A display (`{...}`) at module level is taken for a table while nobody changes it; empty ones, containers made
    by a call, locks, caches and `global` are state at once.
    """
    for source, _part in parts_of(sources):
        everything = list(ast.walk(source.tree))
        for body in (source.tree.body, *(node.body for node in everything if isinstance(node, ast.ClassDef))):
            for statement in body:
                if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                    yield from _made(source, statement.value)
        tables = _tables(source)
        for node in everything:
            if isinstance(node, ast.Global):
                yield source.at(node.lineno, f"global {', '.join(node.names)}")
            elif isinstance(node, ast.Subscript | ast.Call):
                yield from _changed(source, node, tables)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    if _last_name(decorator) in CACHES:
                        yield source.at(
                            node.lineno, f"{node.name}() keeps what it returned, for the whole process"
                        )


def _made(source: Source, value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Call) and _last_name(value) in MUTABLE_MAKERS:
        yield source.at(value.lineno, f"{_last_name(value)}() at module or class level")
    elif (isinstance(value, ast.Dict) and not value.keys) or (isinstance(value, ast.List) and not value.elts):
        yield source.at(value.lineno, "an empty container at module or class level: it is meant to change")


def _tables(source: Source) -> set[str]:
    """Names of tables at module level: its own, and imported ones."""
    found = {name.split(".")[-1] for _, name in source.imports if within(name, "fastgw")}
    for node in source.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, DISPLAYS):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _changed(source: Source, node: ast.Subscript | ast.Call, tables: set[str]) -> Iterator[str]:
    """`TABLE[...] = `, `del TABLE[...]`, `TABLE.append(...)`, also as `module.TABLE`."""
    if isinstance(node, ast.Subscript):
        container = None if isinstance(node.ctx, ast.Load) else node.value
    else:
        mutating = isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS
        container = node.func.value if mutating and isinstance(node.func, ast.Attribute) else None
    name = "" if container is None else _last_name(container)
    known = name in tables or isinstance(container, ast.Attribute)
    if known and name.lstrip("_").isupper():
        yield source.at(node.lineno, f"changes {name}, which stands at module level")


def _last_name(node: ast.expr) -> str:
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return ast.unparse(node).split(".")[-1]


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        floors, owners, never, imports_by_name, banned_calls, file_lengths, function_lengths, names, inits,
        docstrings, module_state,
    )
}  # fmt: skip
