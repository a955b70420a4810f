"""Names against a name server on loopback that answers from a script."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fastgw.control.names import Found, HostsFile, SystemNames, by_machine, routed

A, CNAME, AAAA = 1, 5, 28
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def name_bytes(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


@dataclass
class Record:
    kind: int
    ttl: int
    data: str
    name: str = ""  # of another than the question

    def encode(self, question: str) -> bytes:
        if self.kind == CNAME:
            data = name_bytes(self.data)
        else:
            data = socket.inet_pton(socket.AF_INET if self.kind == A else socket.AF_INET6, self.data)
        return name_bytes(self.name or question) + struct.pack("!HHIH", self.kind, 1, self.ttl, len(data)) + data


class NameServer(asyncio.DatagramProtocol):
    """`zone`: name to records; `codes`: name to a response code; `deaf` names get no answer."""

    def __init__(self) -> None:
        self.zone: dict[str, list[Record]] = {}
        self.codes: dict[str, int] = {}
        self.deaf: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        name = ".".join(labels).lower()
        (kind,) = struct.unpack_from("!H", data, at + 1)
        self.asked.append((name, kind))
        if name in self.deaf:
            return
        records = [each for each in self.zone.get(name, []) if each.kind in (kind, CNAME)]
        code = self.codes.get(name, NOERROR if name in self.zone else NXDOMAIN)
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        self.transport.sendto(head + data[12 : at + 5] + b"".join(each.encode(name) for each in records), addr)


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    yield server
    transport.close()


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n# 1.2.3.4 old.example\n10.1.1.1\tMine.example  mine # ours\n")
    return path


Make = Callable[..., SystemNames]


@pytest.fixture
async def make(server: NameServer, hosts: Path) -> AsyncIterator[Make]:
    made: list[SystemNames] = []

    def names(**more: Any) -> SystemNames:
        port = server.transport.get_extra_info("sockname")[1]
        plain = {"servers": [f"127.0.0.1:{port}"], "timeout": 0.2, "tries": 1, "reaches": lambda address: True}
        made.append(SystemNames(HostsFile(hosts), **{**plain, **more}))
        return made[-1]

    yield names
    for each in made:
        await each.close()


async def test_the_name_server_says_for_how_long_an_answer_holds(server: NameServer, make: Make) -> None:
    server.zone["svc.example"] = [Record(A, 60, "10.0.0.1"), Record(A, 7, "10.0.0.2"), Record(AAAA, 90, "2001:db8::1")]
    found = await make().resolve("svc.example")
    assert (sorted(found.addresses), found.ttl) == (["10.0.0.1", "10.0.0.2", "2001:db8::1"], 7.0)
    assert set(server.asked) == {("svc.example", A), ("svc.example", AAAA)}


async def test_an_alias_that_ends_sooner_ends_the_answer(server: NameServer, make: Make) -> None:
    server.zone["svc.example"] = [
        Record(CNAME, 5, "real.example"), Record(A, 300, "10.0.0.1", "real.example")
    ]  # fmt: skip
    assert await make().resolve("svc.example") == Found(("10.0.0.1",), 5.0)


async def test_an_answer_for_this_moment_only(server: NameServer, make: Make) -> None:
    server.zone["svc.example"] = [Record(A, 0, "10.0.0.1")]
    assert await make().resolve("svc.example") == Found(("10.0.0.1",), 0.0)


async def test_a_family_that_this_machine_has_no_way_to_is_left_out(server: NameServer, make: Make) -> None:
    server.zone["svc.example"] = [Record(A, 60, "10.0.0.1"), Record(AAAA, 60, "2001:db8::1")]
    only_four = make(reaches=lambda address: ":" not in address)
    assert (await only_four.resolve("svc.example")).addresses == ("10.0.0.1",)
    # Nothing at all is reachable: perhaps only for now.
    cut_off = make(reaches=lambda address: False)
    assert set((await cut_off.resolve("svc.example")).addresses) == {"10.0.0.1", "2001:db8::1"}


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "localhost."])
async def test_localhost_is_the_machines_business(server: NameServer, make: Make, name: str) -> None:
    found = await make().resolve(name)
    assert set(found.addresses) <= {"127.0.0.1", "::1"} and found.addresses and found.ttl is None
    assert not server.asked


async def test_a_name_of_the_hosts_file_is_not_asked_for_elsewhere(server: NameServer, make: Make) -> None:
    server.zone["mine.example"] = [Record(A, 60, "10.9.9.9")]
    # The machine's own resolver reads the real file, which does not know this one: either way, not the server.
    try:
        found = await make().resolve("mine.example")
    except OSError:
        pass
    else:
        assert found.ttl is None and "10.9.9.9" not in found.addresses
    assert not server.asked


@pytest.mark.parametrize("code", [NXDOMAIN, SERVFAIL])
async def test_what_the_name_server_does_not_know_the_machine_may(
    server: NameServer, make: Make, code: int
) -> None:
    server.codes["nowhere.invalid"] = code
    with pytest.raises(OSError):
        await make().resolve("nowhere.invalid")
    assert ("nowhere.invalid", A) in server.asked


async def test_a_silent_name_server_is_a_failure(server: NameServer, make: Make) -> None:
    server.deaf.add("svc.example")
    with pytest.raises(socket.gaierror, match="the name servers do not answer"):
        await make().resolve("svc.example")


async def test_nonsense_is_refused_as_before(make: Make) -> None:
    with pytest.raises((OSError, UnicodeError)):
        await make().resolve("x" * 300)


async def test_names_are_asked_for_side_by_side(server: NameServer, make: Make) -> None:
    names = make()
    asking: list[Awaitable[Found]] = []
    for number in range(50):
        server.zone[f"host-{number}.example"] = [Record(A, number, f"10.0.0.{number}")]
        asking.append(names.resolve(f"host-{number}.example"))
    found = await asyncio.gather(*asking)
    assert [each.ttl for each in found] == [float(number) for number in range(50)]


def test_the_hosts_file_is_read_again_when_it_changes(hosts: Path) -> None:
    known = HostsFile(hosts)
    assert "mine" in known and "mine.example" in known
    assert "old.example" not in known and "10.1.1.1" not in known and "ours" not in known
    hosts.write_text("10.1.1.1 another\n")
    os.utime(hosts, ns=(1, 1))
    assert "another" in known and "mine" not in known
    hosts.unlink()
    assert "another" not in known


def test_a_hosts_file_that_is_no_text_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_bytes(b"\xff\xfe\0\n\n10.0.0.1\n")
    assert "10.0.0.1" not in HostsFile(tmp_path / "hosts")


def test_there_is_a_way_to_loopback_and_none_to_nonsense() -> None:
    assert routed("127.0.0.1")
    assert not routed("999.0.0.1")


async def test_the_machine_knows_localhost_and_refuses_nonsense() -> None:
    assert set(await by_machine("localhost")) <= {"127.0.0.1", "::1"}
    with pytest.raises((OSError, UnicodeError)):
        await by_machine("x" * 300)
