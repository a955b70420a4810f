"""Scrapes as the admin API answers them: shared, never stale, packed when asked, and with the loop free meanwhile."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator

import pytest

from fastgw.account import families
from fastgw.account.series import SeriesMemory
from fastgw.control.exposition import Exposition
from fastgw.control.facts import Facts
from fastgw.control.scrapes import Scraped, Scrapes
from fastgw.control.text_format import Format

LABELS = ("orders", "GET", "200", "upstream")


class Counted(Exposition):
    """Counts its renderings."""

    __slots__ = ("renderings",)

    def __init__(self, memory: SeriesMemory) -> None:
        super().__init__(memory, 1)
        self.renderings = 0

    def blocks(self, form: Format, facts: Facts | None) -> Iterator[bytes]:
        self.renderings += 1
        return super().blocks(form, facts)


@pytest.fixture
def memory() -> SeriesMemory:
    return SeriesMemory(3, 4096, 65536)


def count(memory: SeriesMemory) -> None:
    slot = memory.slot(0)
    slot.cells[slot.counter(families.REQUESTS, LABELS)] += 1


def requests(scraped: Scraped) -> int:
    body = gzip.decompress(scraped.body) if scraped.content_encoding else scraped.body
    (line,) = [line for line in body.splitlines() if line.startswith(b"fastgw_requests_total{")]
    return int(line.split()[-1])


async def test_the_format_that_is_asked_for(memory: SeriesMemory) -> None:
    scrapes = Scrapes(Exposition(memory, 1), lambda: None)
    count(memory)
    plain = await scrapes.answer("", "")
    assert plain.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.content_encoding is None
    packed = await scrapes.answer("application/openmetrics-text", "gzip, deflate")
    assert packed.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert packed.content_encoding == "gzip"
    assert gzip.decompress(packed.body).endswith(b"# EOF\n")
    assert requests(plain) == requests(packed) == 1


async def test_facts_are_asked_for_each_rendering(memory: SeriesMemory) -> None:
    asked: list[Facts] = []

    def facts() -> Facts:
        asked.append(Facts(1.5, len(asked), True, 7, 2.5, True, False, 0))
        return asked[-1]

    scrapes = Scrapes(Exposition(memory, 1), facts)
    assert b"fastgw_control_restarts_total 0.0\n" in (await scrapes.answer("", "")).body
    assert b"fastgw_control_restarts_total 1.0\n" in (await scrapes.answer("", "")).body


async def test_those_who_wait_share_one_rendering(memory: SeriesMemory) -> None:
    exposition = Counted(memory)
    scrapes = Scrapes(exposition, lambda: None)
    count(memory)
    answers = await asyncio.gather(*(scrapes.answer("", "gzip") for _ in range(50)))
    assert exposition.renderings == 1
    assert {requests(answer) for answer in answers} == {1}


async def test_no_answer_is_older_than_its_question(memory: SeriesMemory) -> None:
    """Also the one that is asked while an older question is being answered."""
    scrapes = Scrapes(Exposition(memory, 1), lambda: None)
    count(memory)
    asked: list[asyncio.Task[Scraped]] = []
    for _ in range(50):
        asked.append(asyncio.create_task(scrapes.answer("", "")))
        await asyncio.sleep(0)  # to the thread with it, or to the others that wait
        await asyncio.sleep(0)
        count(memory)
    counted = [requests(answer) for answer in await asyncio.gather(*asked)]
    assert all(answer >= number for number, answer in enumerate(counted, 1))


async def test_who_goes_away_takes_it_from_nobody(memory: SeriesMemory) -> None:
    scrapes = Scrapes(Exposition(memory, 1), lambda: None)
    count(memory)
    impatient, patient = (asyncio.create_task(scrapes.answer("", "")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert requests(await patient) == 1
    assert requests(await scrapes.answer("", "")) == 1


async def test_a_failure_is_not_kept(memory: SeriesMemory) -> None:
    broken = True

    def facts() -> None:
        if broken:
            raise RuntimeError("no facts")

    scrapes = Scrapes(Exposition(memory, 1), facts)
    count(memory)
    with pytest.raises(RuntimeError, match="no facts"):
        await scrapes.answer("", "")
    broken = False
    assert requests(await scrapes.answer("", "")) == 1


async def test_the_loop_is_free_while_ten_thousand_routes_are_rendered() -> None:
    """20 MB of text; whoever asks for /livez meanwhile must not notice."""
    memory = SeriesMemory(1, 1 << 19, 1 << 22)
    slot = memory.slot(0)
    for number in range(10_000):
        name = f"route-{number:05d}"
        slot.cells[slot.counter(families.REQUESTS, (name, *LABELS[1:]))] += 1
        slot.histogram(families.REQUEST_DURATION, (name,))
        slot.histogram(families.GATEWAY_DURATION, (name,))
    scrapes = Scrapes(Exposition(memory, 1), lambda: None)
    await scrapes.answer("", "")  # the names of the series are written once
    # A busy machine keeps the whole process waiting now and then, but not three times in a row.
    assert min([await longest_pause(scrapes) for _ in range(3)]) < 0.1


async def longest_pause(scrapes: Scrapes) -> float:
    """How late the loop comes back to somebody who sleeps for a millisecond again and again."""
    loop = asyncio.get_running_loop()
    scrape = asyncio.create_task(scrapes.answer("", "gzip"))
    longest, last = 0.0, loop.time()
    while not scrape.done():
        await asyncio.sleep(0.001)
        now = loop.time()
        longest, last = max(longest, now - last), now
    assert len(gzip.decompress(scrape.result().body)) > 20_000_000
    return longest
