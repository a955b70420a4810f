from __future__ import annotations

import os
import pty
import termios

import pytest

from fastgw.cli.keyboard import Keyboard, keys


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"q", ["q"]),
        (b"sS ", ["s", "S", " "]),
        (b"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[F", ["up", "down", "page up", "page down", "home", "end"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[A\x1b", ["up", "escape"]),
        (b"\x1b[15~\x1b[1;5Cq", ["q"]),
        ("ä".encode(), ["Ã", "¤"]),
        (b"", []),
    ],
)
def test_keys_have_names(data: bytes, names: list[str]) -> None:
    assert keys(data) == names


def test_a_key_arrives_at_once_and_the_terminal_is_given_back_as_it_was() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with pytest.raises(KeyError), Keyboard(slave) as keyboard:
        assert keyboard.fileno() == slave
        os.write(master, b"s\x1b[A")
        assert keyboard.read() == ["s", "up"]
        raise KeyError
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)


def test_a_terminal_that_is_gone_is_no_key() -> None:
    master, slave = pty.openpty()
    keyboard = Keyboard(slave)
    os.close(master)
    assert keyboard.read() is None
    os.close(slave)
