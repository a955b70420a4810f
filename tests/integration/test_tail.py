"""Who looks on at a running gateway of two workers sees the lines of its log, and what is left out is counted (design
sections 11 to 13)."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fastgw.cli.event_stream import EventStream
from fastgw.control.live import MOST_WATCHERS
from tests.support.client import request
from tests.support.config import route, service
from tests.support.gateway import ROOT, Gateway, free_port
from tests.support.wire import wait_for

WORKERS = 2
PATIENCE = 10.0
OK = {"status": 200, "body": "ok\n"}


class Watch:
    """Reads a tail in a thread until the gateway or the test ends it."""

    def __init__(self, gateway: Gateway, query: str = "") -> None:
        self.seen: dict[str, list[dict[str, Any]]] = {"exchange": [], "notice": [], "missed": []}
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.admin_port, timeout=PATIENCE)
        self._connection.connect()
        self._sock = self._connection.sock
        self._connection.request("GET", f"/api/tail{query}")
        self._answer = self._connection.getresponse()
        assert (self._answer.status, self._answer.getheader("Content-Type")) == (200, "text/event-stream")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        stream = EventStream()
        try:
            while data := self._answer.read1():
                for event in stream.feed(data):
                    self.seen[event.name].append(json.loads(event.data))
        except (OSError, http.client.IncompleteRead):
            pass  # cut, by the test or by the gateway

    def close(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)  # the thread reads the end
        except OSError:
            pass  # the gateway was faster
        self.ended()

    def ended(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._answer.close()
        self._connection.close()

    def paths(self) -> list[str]:
        return [exchange["path"] for exchange in list(self.seen["exchange"])]

    def wait(self, path: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((each for each in list(self.seen["exchange"]) if each["path"] == path), None)

        return dict(wait_for(found, PATIENCE, f"{path} in the tail"))


def gets(gateway: Gateway, path: str) -> int:
    with gateway.client() as client:
        client.send(request(path))
        return client.read().status


def begin(gateway: Gateway, watch: Watch, path: str = "/begin") -> None:
    """Until every worker knows that somebody looks on: the word is on its way when the stream opens."""

    def workers() -> bool:
        gets(gateway, path)
        found = {each["worker"] for each in list(watch.seen["exchange"]) if each["path"] == path}
        return len(found) == WORKERS

    wait_for(workers, PATIENCE, "lines of every worker")


def config() -> dict[str, Any]:
    dead = f"http://127.0.0.1:{free_port()}"
    return {
        "upstreams": {"dead": service(dead, breaker={"failures": 1, "open_for": "60s"})},
        "routes": [
            route("all", reply=OK),
            route("dead", "/dead/*", upstream="dead"),
            route("gone", "/gone/*", reply={"status": 410}),
        ],
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    one = Gateway(tmp_path_factory.mktemp("tail"), config(), workers=WORKERS).start()
    yield one
    one.check_ledger()
    one.stop()


@pytest.fixture
def watch(gateway: Gateway) -> Iterator[Callable[..., Watch]]:
    with ExitStack() as stack:

        def start(query: str = "") -> Watch:
            one = Watch(gateway, query)
            stack.callback(one.close)
            return one

        yield start


def verb(gateway: Gateway, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fastgw", *arguments, "--admin", f"127.0.0.1:{gateway.admin_port}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip


def test_what_is_shown_is_the_line_of_the_log(gateway: Gateway, watch: Callable[..., Watch]) -> None:
    every = watch()
    begin(gateway, every)
    assert gets(gateway, "/gone/1") == 410
    shown = every.wait("/gone/1")
    assert shown == gateway.journal.path_is("/gone/1")
    assert (shown["route"], shown["status"], shown["reason"]) == ("gone", 410, "ok")


def test_each_watcher_sees_what_it_asked_for(gateway: Gateway, watch: Callable[..., Watch]) -> None:
    every, gone, failed, slow = watch(), watch("?route=gone"), watch("?status=5xx&reason=ok"), watch("?slower=10s")
    begin(gateway, every, "/begin-each")
    for path in ("/a", "/gone/a", "/b", "/gone/b"):
        gets(gateway, path)
    gone.wait("/gone/b")
    every.wait("/gone/b")
    assert gone.paths() == ["/gone/a", "/gone/b"]
    assert failed.paths() == slow.paths() == []


def test_a_failure_and_the_breaker_are_seen_with_their_reasons(gateway: Gateway, watch: Callable[..., Watch]) -> None:
    failed = watch("?reason=connect_refused&reason=breaker_open")

    def both() -> bool:
        gets(gateway, "/dead/x")
        return {each["reason"] for each in list(failed.seen["exchange"])} == {"connect_refused", "breaker_open"}

    wait_for(both, PATIENCE, "the failure, and then the breaker")
    notice = wait_for(lambda: failed.seen["notice"], PATIENCE, "a word about the breaker")[0]
    assert notice["worker"] in range(WORKERS)
    assert "dead" in notice["text"] and "open" in notice["text"]


def test_what_control_says_is_seen_too(gateway: Gateway, watch: Callable[..., Watch]) -> None:
    every = watch("?route=gone")
    wish = json.dumps({"state": "open", "for": "1s"}).encode()
    code, _ = gateway.admin("/api/upstreams/dead/breaker", "POST", wish, {"Content-Type": "application/json"})
    assert code == 200
    wait_for(lambda: any(each["worker"] is None and "dead" in each["text"] for each in list(every.seen["notice"])),
             PATIENCE, "the operator's word")  # fmt: skip


def test_nothing_is_left_out_uncounted(gateway: Gateway, watch: Callable[..., Watch]) -> None:
    every = watch()
    begin(gateway, every, "/begin-flood")
    count = 2000
    with gateway.client() as client:
        for _ in range(count // 50):
            client.send(request("/flood") * 50)
            for _ in range(50):
                client.read()

    def told() -> int:
        return every.paths().count("/flood") + sum(each["lines"] for each in list(every.seen["missed"]))

    wait_for(lambda: told() >= count, PATIENCE, "every exchange shown or counted")
    assert told() == count
    assert 0 < every.paths().count("/flood") < count


def test_a_worker_that_was_born_meanwhile_shows_its_exchanges(gateway: Gateway, watch: Callable[..., Watch]) -> None:
    every = watch()
    begin(gateway, every, "/begin-before")
    gateway.check_ledger()  # what is not written yet would die with its worker
    victim = gateway.worker_pids()[1]
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: victim not in gateway.worker_pids(), PATIENCE, "a successor")
    begin(gateway, every, "/begin-after")


def test_who_goes_away_is_forgotten_and_one_too_many_is_refused(gateway: Gateway) -> None:
    def watchers() -> float:
        return gateway.metrics().sum("fastgw_tail_watchers")

    with ExitStack() as stack:
        wait_for(lambda: watchers() == 0, PATIENCE, "the end of those before")
        for _ in range(MOST_WATCHERS):
            stack.callback(Watch(gateway, "?route=none").close)
        assert watchers() == MOST_WATCHERS
        code, body = gateway.admin("/api/tail")
        assert code == 503 and "64 watch already" in json.loads(body)["detail"]
    wait_for(lambda: watchers() == 0, PATIENCE, "their places")


def test_a_wrong_query_is_refused_with_what_would_be_right(gateway: Gateway) -> None:
    code, body = gateway.admin("/api/tail?status=6xx&reason=rate_limit")
    assert code == 422
    said = json.loads(body)["errors"]
    assert [each["path"].rpartition(".")[2] for each in said] == ["reason", "status"]
    assert 'did you mean "rate_limited"?' in said[0]["message"] and "5xx" in said[1]["message"]


def test_the_verbs_on_a_running_gateway(gateway: Gateway) -> None:
    with verb(gateway, "tail", "--route", "gone", "-n", "1") as tail:
        # It takes a while to start, and the first exchange that it sees ends it.
        wait_for(lambda: gets(gateway, "/gone/verb") and tail.poll() is not None, PATIENCE, "its end")
        out, err = tail.communicate()
        assert (tail.returncode, err) == (0, "")
        assert "410 ok " in out and "/gone/verb" in out
    for name in ("status", "top"):
        with verb(gateway, name) as process:
            out, err = process.communicate(timeout=PATIENCE)
            assert (process.returncode, err) == (0, "")
            assert out.startswith("ready")


def test_a_gateway_that_stops_ends_the_tail(tmp_path: Path) -> None:
    one = Gateway(tmp_path, config()).start()
    watch = Watch(one)
    with verb(one, "tail") as tail:
        wait_for(lambda: one.metrics().sum("fastgw_tail_watchers") == 2, PATIENCE, "the verb's stream")
        assert one.stop() == 0
        out, err = tail.communicate(timeout=PATIENCE)
        assert (tail.returncode, out) == (1, "")
        assert "ended the stream" in err
    watch.ended()
