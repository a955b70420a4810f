"""Versions in Redis, for a fleet: the two lines of record.py, in one hash of heads and one of contents.

Every change is one script, so that it happens whole or not at all and of two publishers exactly one gets a number.
Contents are compressed: Redis keeps them in memory. What may not live here: who else uses the store (register.py), and
what of a document is shared (gateway/document/fleet.py).
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from fastgw.clock import Clock, SystemClock
from fastgw.versions import record
from fastgw.versions.redis_server import RedisServer
from fastgw.versions.version import Changes, Entry, Raced, StoreAway, StoreError, Version

# Of all contents, compressed: 10,000 routes take 0.3 MB, so that is 200 versions of them, and all 1,000 of most.
MOST_BYTES: Final = 64 * 1024 * 1024
MAX_CONTENT: Final = 256 * 1024 * 1024  # bytes of one document; more is no document of ours
MOST_FILES: Final = 10_000
_ATTEMPTS: Final = 20  # of one that takes any number

# KEYS: heads, contents. In the hash of heads two fields are no numbers: `last`, and `from_file` (the newest of a file).
# Both keys have one hash tag, so that they live on one node of a cluster.
_ADD: Final = """\
local heads, contents = KEYS[1], KEYS[2]
local expected, number, head, content, from_file = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local last = redis.call('HGET', heads, 'last') or '0'
if last ~= expected then return tonumber(last) end
redis.call('HSET', heads, number, head, 'last', number)
redis.call('HSET', contents, number, content)
if from_file == '1' then redis.call('HSET', heads, 'from_file', number) end
local kept, most = tonumber(ARGV[6]), tonumber(ARGV[7])
local from = redis.call('HGET', heads, 'from_file')
local numbers, bytes = {}, 0
for _, field in ipairs(redis.call('HKEYS', heads)) do
  if tonumber(field) then
    numbers[#numbers + 1] = tonumber(field)
    bytes = bytes + redis.call('HSTRLEN', contents, field)
  end
end
table.sort(numbers)
local count = #numbers
for _, old in ipairs(numbers) do
  local field = string.format('%d', old)
  if count <= kept and bytes <= most then break end
  if field ~= number and field ~= from then
    bytes = bytes - redis.call('HSTRLEN', contents, field)
    count = count - 1
    redis.call('HDEL', heads, field)
    redis.call('HDEL', contents, field)
  end
end
return -1
"""

# ARGV[1]: a number, or the name of a field that holds one. Number, head and content; or nothing.
_READ: Final = """\
local number = ARGV[1]
if not tonumber(number) then number = redis.call('HGET', KEYS[1], number) end
if not number then return false end
local head, content = redis.call('HGET', KEYS[1], number), redis.call('HGET', KEYS[2], number)
if not head and tonumber(ARGV[1]) then return false end
return {number, head, content}
"""

# Names may be random ones, of machines that never come again.
_NOTE_FILE: Final = """\
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""

# Puts a version back under its own number, where the store knows none as new: it lost what it had.
_RESTORE: Final = """\
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
if last >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], 'last', ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'from_file', ARGV[1]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """A version as the store holds it, to give it back to a store that lost it."""

    number: int
    head: bytes
    content: bytes
    from_file: bool


class RedisStore:
    """What another gateway adds is seen. `prefix` begins every key. Kept here is only what a server without persistence
    needs to be given back after it lost it: numbers never begin anew while one gateway lives that knows better."""

    def __init__(
        self,
        server: RedisServer,
        prefix: str,
        clock: Clock | None = None,
        *,
        kept: int = record.KEPT,
        most_bytes: int = MOST_BYTES,
        max_content: int = MAX_CONTENT,
    ) -> None:
        self._server = server
        self._keys = (f"{prefix}{{versions}}:heads", f"{prefix}{{versions}}:contents")
        self._files = f"{prefix}{{versions}}:files"
        self._clock = SystemClock() if clock is None else clock
        self._kept = kept
        self._most_bytes = most_bytes
        self._max_content = max_content
        self._one_at_a_time = threading.Lock()  # of the two below; the calls come from several threads
        self._copies: tuple[Copy, ...] = ()
        self._known = 0  # the newest number that was ever seen

    def newest_number(self) -> int:
        with self._one_at_a_time:
            number = self._last()
            if number < self._known:
                # It was restarted empty, or emptied.
                self._restore()
                number = self._last()
            if number > self._known:
                self._copies, self._known = self._read_copies(), number
            return number

    def newest(self) -> Version | None:
        return self._read("last")

    def newest_from_file(self) -> Version | None:
        return self._read("from_file")

    def get(self, number: int) -> Version | None:
        return self._read(str(number))

    def list(self) -> Sequence[Entry]:
        fields: dict[bytes, bytes] = self._server.ask(lambda client: client.hgetall(self._keys[0]))
        numbers = sorted(int(field) for field in fields if field.isdigit())
        return [self._entry(number, fields[str(number).encode()]) for number in numbers]

    def add(
        self,
        plain: dict[str, Any],
        digest: str,
        by: str,
        note: str,
        from_file: bool,
        changes: Changes | None = None,
        expected: int | None = None,
    ) -> Version:
        content = orjson.dumps(plain)
        compressed = zlib.compress(content, 1)
        newest = self.newest_number() if expected is None else expected
        for _ in range(_ATTEMPTS):
            entry = Entry(
                newest + 1, digest, self._clock.wall(), by, note[: record.MAX_NOTE], from_file, changes
            )
            winner = self._add(entry, record.head(entry, content), compressed)
            if winner < 0:
                return record.version(entry, plain)
            if expected is not None:
                raise Raced(winner)
            newest = winner
        raise Raced(newest)

    def _add(self, entry: Entry, head: bytes, content: bytes) -> int:
        """-1, or the newest number where that is another one than expected."""
        if entry.number > record.MAX_NUMBER:
            raise StoreError(f"{self._place} has no numbers left; delete it")
        words = (entry.number - 1, entry.number, head, content, int(entry.from_file))
        try:
            answer: int = self._script(_ADD, *words, self._kept, self._most_bytes)
        except StoreAway as error:
            if not self._is_kept(entry.number, head, error):
                raise
            return -1
        return answer

    def _is_kept(self, number: int, head: bytes, error: StoreAway) -> bool:
        """An answer that does not arrive says nothing about the question: the version may be there, and be followed."""
        try:
            return bool(self._server.ask(lambda client: client.hget(self._keys[0], str(number))) == head)
        except StoreAway:
            raise StoreAway(
                f"{error}; whether it keeps version {number} is not known before it answers: if it does, it is served"
            ) from None

    # --- the files of the machines ---

    def file_of(self, instance: str) -> str:
        """The hash of the file that this gateway was last started with or told to read; empty: not known."""
        found = self._server.ask(lambda client: client.hget(self._files, instance))
        return "" if found is None else str(found, "ascii", "replace")

    def note_file(self, instance: str, digest: str) -> None:
        words = (self._files, instance, digest, MOST_FILES)
        self._server.ask(lambda client: client.eval(_NOTE_FILE, 1, *words))

    # --- a server that forgets ---

    def _last(self) -> int:
        return self._number(self._server.ask(lambda client: client.hget(self._keys[0], "last")))

    def _read_copies(self) -> tuple[Copy, ...]:
        """Of the newest version of a file, and of the newest: without the former each file would be a new one."""
        found: dict[int, Copy] = {}
        for field in ("from_file", "last"):
            answer = self._script(_READ, field)
            if answer is not None and answer[1] is not None and answer[2] is not None:
                number = self._number(answer[0])
                found.setdefault(number, Copy(number, answer[1], answer[2], field == "from_file"))
        return tuple(found[number] for number in sorted(found))

    def put_back(self, version: Version) -> None:
        """What is served, into a server that knows nothing as new; for whoever came after it had lost everything."""
        content = orjson.dumps(version.plain)
        words = (version.number, record.head(version.entry, content), zlib.compress(content, 1))
        self._script(_RESTORE, *words, int(version.from_file))

    def _restore(self) -> None:
        for copy in self._copies:
            self._script(_RESTORE, copy.number, copy.head, copy.content, int(copy.from_file))

    # --- reading ---

    @property
    def _place(self) -> str:
        return f"{self._keys[0]} in {self._server.shown}"

    def _script(self, text: str, *arguments: str | bytes | int) -> Any:
        return self._server.ask(lambda client: client.eval(text, 2, *self._keys, *arguments))

    def _read(self, which: str) -> Version | None:
        answer = self._script(_READ, which)
        if answer is None:
            return None
        number, head, compressed = self._number(answer[0]), answer[1], answer[2]
        if head is None or compressed is None:
            # The server evicted it, or somebody deleted it.
            raise StoreError(
                f"version {number} is gone from {self._place}; publish anew after deleting what is left "
                f"(DEL {' '.join(self._keys)}), and see that maxmemory-policy of the server is not allkeys-*"
            )
        return record.read(
            number, head, self._decompressed(number, compressed), lambda what: self._damaged(number, what)
        )

    def _decompressed(self, number: int, data: bytes) -> bytes:
        reader = zlib.decompressobj()
        try:
            content = reader.decompress(data, self._max_content)
        except zlib.error:
            raise self._damaged(number, "its content is not what was written") from None
        if not reader.eof:
            raise self._damaged(number, "its content does not end")
        return content

    def _entry(self, number: int, head: bytes) -> Entry:
        return record.read_head(number, head, lambda what: self._damaged(number, what))

    def _number(self, value: bytes | None) -> int:
        if value is None:
            return 0
        if not value.isdigit() or len(value) > len(str(record.MAX_NUMBER)):
            raise StoreError(f"{self._place} is damaged: its last number is none; delete it")
        return int(value)

    def _damaged(self, number: int, what: str) -> StoreError:
        return StoreError(
            f"version {number} in {self._place} is damaged: {what}; publish a good one on top of it, or delete the "
            f"store (DEL {' '.join(self._keys)})"
        )
