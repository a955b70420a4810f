"""Every message fits a packet and names its type."""

from __future__ import annotations

from fastgw.ipc import messages
from fastgw.ipc.channel import Channel, pair


def test_each_message_survives_the_wire():
    every = [
        messages.config(2, "h", None),
        messages.addresses("u", "h", 80, ["127.0.0.1"], None),
        messages.keys("https://id/jwks", [{"kty": "EC"}], None),
        messages.unknown_key("https://id/jwks"),
        messages.hello(0, 1, 1, "h"),
        messages.applied(1, "h"),
        messages.rejected(1, "why"),
        messages.worker(0, 1),
        messages.worker_gone(0, 1),
        messages.reload(),
        messages.reloaded(1, None),
        messages.draining(),
        messages.ready(),
        messages.control(),
        messages.drain(),
        messages.quit_(),
        messages.stop(),
        messages.serving(),
        messages.failed("why"),
        messages.control_lost(),
    ]
    a, b = (Channel(sock) for sock in pair())
    for message in every:
        a.send(message)
    received = b.receive()
    a.close()
    b.close()
    assert [one.message for one in received] == every
    assert len({one.type for one in received}) == len(every)
