"""What is asked of the machine."""

from __future__ import annotations

import resource

from fastgw.supervisor.limits import keep_freed_memory, open_files_warning, raise_open_files


def test_the_limit_is_raised_to_the_hard_one():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        assert raise_open_files() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_limit_below_the_promise_is_told():
    warning = open_files_warning(1024, 8192)
    assert warning is not None
    assert "1024" in warning
    assert "8192" in warning
    assert open_files_warning(2 * 8192 + 64, 8192) is None
    assert open_files_warning(resource.RLIM_INFINITY, 8192) is None


def test_the_allocator_can_be_told():
    keep_freed_memory()
