"""Sealed memory files."""

from __future__ import annotations

import os

import pytest

from fastgw.ipc import memfd


def test_what_is_sealed_can_be_read_and_not_changed():
    fd = memfd.seal(b"abc" * 1000)
    assert memfd.unseal(fd) == b"abc" * 1000
    with pytest.raises(PermissionError):
        os.write(fd, b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 1)
    os.close(fd)


def test_an_unsealed_file_is_refused():
    fd = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    with pytest.raises(ValueError, match="not sealed"):
        memfd.unseal(fd)
    os.close(fd)


def test_what_is_no_memory_file_is_refused():
    read, write = os.pipe()
    with pytest.raises(ValueError, match="not a memory file"):
        memfd.unseal(read)
    os.close(read)
    os.close(write)


def test_a_payload_over_the_bound_is_refused():
    with pytest.raises(ValueError, match="over the bound"):
        memfd.seal(bytes(memfd.MAX_PAYLOAD + 1))
