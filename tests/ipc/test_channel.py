"""Channels: whole messages, descriptors beside them, bounds, and the end of a peer."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from fastgw.ipc import channel as channels
from fastgw.ipc.channel import MAX_PACKET, MAX_QUEUE, Channel, ChannelClosed, ChannelFull, pair


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    left, right = (Channel(sock) for sock in pair())
    yield left, right
    left.close()
    right.close()


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_messages_arrive_whole_and_in_order(ends):
    left, right = ends
    for number in range(3):
        left.send({"type": "n", "number": number})
    assert [one.message["number"] for one in right.receive()] == [0, 1, 2]
    assert right.receive() == []


def test_a_payload_travels_beside_its_message(ends):
    left, right = ends
    data = os.urandom(3_000_000)
    left.send({"type": "config"}, payload=data)
    (received,) = right.receive()
    assert received.type == "config"
    assert received.payload == data
    left.send({"type": "config"}, payload=b"")
    assert right.receive()[0].payload == b""


def test_a_descriptor_is_duplicated(ends):
    left, right = ends
    a, b = pair()
    left.send({"type": "worker"}, fd=a.fileno())
    a.close()
    (received,) = right.receive()
    with socket.socket(fileno=received.fd) as passed, b:
        passed.send(b"x")
        assert b.recv(9) == b"x"


def test_no_descriptor_is_left_open():
    before = open_fds()
    left, right = (Channel(sock) for sock in pair())
    for _ in range(50):
        left.send({"type": "config"}, payload=b"x" * 1000)
    right.receive()
    # Some were received, some are in the socket, and some still wait in the queue.
    for _ in range(500):
        left.send({"type": "config"}, payload=b"x" * 1000)
    assert left.wants_write
    left.close()
    right.close()
    assert open_fds() == before


def test_a_peer_that_does_not_read_is_reported_and_never_waited_for(ends):
    left, right = ends
    with pytest.raises(ChannelFull):
        for _ in range(100_000):
            left.send({"type": "x"})
    assert left.wants_write
    seen = 0
    while left.wants_write:
        seen += len(right.receive())
        left.flush()
    while got := right.receive():
        seen += len(got)
    assert seen > MAX_QUEUE


def test_the_end_comes_after_everything_that_was_sent(ends):
    left, right = ends
    left.send({"type": "last"})
    left.close()
    assert right.receive()[0].type == "last"
    with pytest.raises(ChannelClosed):
        right.receive()
    with pytest.raises(ChannelClosed):
        right.send({"type": "x"})


def test_what_is_too_large_is_refused_before_it_is_sent(ends):
    left, right = ends
    with pytest.raises(ValueError, match="over the bound"):
        left.send({"type": "x" * MAX_PACKET})
    assert right.receive() == []


def test_a_closed_channel_says_so(ends):
    left, _ = ends
    left.close()
    with pytest.raises(ChannelClosed):
        left.send({"type": "x"})
    with pytest.raises(ChannelClosed):
        left.receive()


@pytest.mark.parametrize(
    "packet",
    [b"[1]", b"{", b'{"type": "config", "payload": 3}'],
    ids=["array", "broken", "without a payload"],
)
def test_a_packet_that_cannot_be_read_is_refused(packet):
    a, b = pair()
    receiver = Channel(b)
    a.send(packet)
    with pytest.raises(ValueError, match=r"."):
        receiver.receive()
    a.close()
    receiver.close()


def test_a_payload_that_is_not_sealed_is_refused():
    before = open_fds()
    a, b = pair()
    receiver = Channel(b)
    fd = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(fd, b"abc")
    socket.send_fds(a, [b'{"type": "config", "payload": 3}'], [fd])
    with pytest.raises(ValueError, match="not sealed"):
        receiver.receive()
    os.close(fd)
    a.close()
    receiver.close()
    assert open_fds() == before


def test_one_turn_is_bounded(ends):
    left, right = ends
    for _ in range(200):
        left.send({"type": "x"})
    assert len(right.receive()) == channels._TURN
