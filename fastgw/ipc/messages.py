"""Every message that one process sends another, as a function that builds it; `type` says which it is.

control -> worker, supervisor   config (payload: difference.encode), addresses, keys
control -> worker               instances, health, force_breaker, watch
worker, supervisor -> control   hello, applied, rejected
worker -> control               unknown_key, breaker, live
supervisor -> control           worker (+ descriptor of a fresh channel), worker_gone, reload, draining
control -> supervisor           ready, reloaded, and all that it sends to a worker
supervisor -> worker            control (+ descriptor of a fresh channel), drain, quit, stop
worker -> supervisor            serving, failed, control_lost
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]


def config(version: int, digest: str, base_hash: str | None) -> Message:
    """A new document, as the difference to the one whose hash is `base_hash`; None: the whole document.
    A receiver that holds another base answers with `hello` and expects the whole."""
    return {"type": "config", "version": version, "hash": digest, "base_hash": base_hash}


def addresses(upstream: str, host: str, port: int, found: Sequence[str], error: str | None) -> Message:
    """What a target's name resolves to now; with `error`, `found` is the last good answer (or empty)."""
    return {
        "type": "addresses",
        "upstream": upstream,
        "host": host,
        "port": port,
        "addresses": list(found),
        "error": error,
    }


def keys(source: str, found: Sequence[Mapping[str, object]], error: str | None) -> Message:
    """The keys that a jwks_url has now, public halves only; with `error`, `found` are the last good ones (or none)."""
    return {"type": "keys", "source": source, "keys": list(found), "error": error}


def unknown_key(source: str) -> Message:
    """A token of an issuer with this jwks_url names a key that is not among its keys. Answered by `keys`."""
    return {"type": "unknown_key", "source": source}


def instances(count: int) -> Message:
    """How many gateways share the store of the limits, this one included."""
    return {"type": "instances", "count": count}


def health(upstream: str, host: str, port: int, address: str, healthy: bool, cause: str) -> Message:
    """What the active checks think of a target now; `host` is the path of a Unix socket, or as configured."""
    return {
        "type": "health",
        "upstream": upstream,
        "host": host,
        "port": port,
        "address": address,
        "healthy": healthy,
        "cause": cause,
    }


def force_breaker(upstream: str, target: str, state: str, until: float) -> Message:
    """An operator's word: `open` or `closed` until that wall-clock second, or `auto` again. `target` is a label as in
    the log, or empty for the upstream's own breaker."""
    return {"type": "force_breaker", "upstream": upstream, "target": target, "state": state, "until": until}


def breaker(
    upstream: str, target: str, state: str, cause: str, at: float, probe_at: float, forced: bool, until: float = 0.0
) -> Message:
    """A breaker of this worker changed its state (`closed`, `open`, `half_open`), at this wall-clock second. `target` is
    empty for the upstream's own; `probe_at` is 0 where no probe is due, `until` the end of what an operator forced."""
    return {
        "type": "breaker",
        "upstream": upstream,
        "target": target,
        "state": state,
        "cause": cause,
        "at": at,
        "probe_at": probe_at,
        "forced": forced,
        "until": until,
    }


def watch(condition: Mapping[str, object] | None) -> Message:
    """Somebody looks on, or (None) nobody does. `condition` is what all of them want together: `troubled` (only what did
    not end well), `routes`, `reasons`, `upstreams`, `consumers` (each a list of names, or None for all), `slower`
    (seconds), `rate` (lines a second and worker)."""
    return {"type": "watch", "condition": None if condition is None else dict(condition)}


def live(lines: Sequence[str], missed: int, notices: Sequence[str]) -> Message:
    """Lines of the access log as text, how many that were wanted were left out, and operational lines."""
    return {"type": "live", "lines": list(lines), "missed": missed, "notices": list(notices)}


def hello(index: int, pid: int, version: int, digest: str) -> Message:
    """First on a fresh channel, and again whenever a difference does not fit: this is what I hold. The
    supervisor's index is -1. The answer is a `config` message unless it is current, and all known
    `addresses` and `keys`."""
    return {"type": "hello", "index": index, "pid": pid, "version": version, "hash": digest}


def applied(version: int, digest: str) -> Message:
    """Serves this version. Versions that were overtaken while they compiled are skipped."""
    return {"type": "applied", "version": version, "hash": digest}


def rejected(version: int, error: str) -> Message:
    """Did not compile here: nothing has changed."""
    return {"type": "rejected", "version": version, "error": error}


def worker(index: int, pid: int) -> Message:
    """A worker was born, or lost its channel: the descriptor is control's end of its new channel."""
    return {"type": "worker", "index": index, "pid": pid}


def worker_gone(index: int, pid: int) -> Message:
    return {"type": "worker_gone", "index": index, "pid": pid}


def reload() -> Message:
    """HUP: read the file again and publish it. Answered by `reloaded`."""
    return {"type": "reload"}


def reloaded(version: int, error: str | None) -> Message:
    """The outcome of a `reload`: the version that is current now, and why the file was not taken, if it was
    not."""
    return {"type": "reloaded", "version": version, "error": error}


def draining() -> Message:
    """The gateway is going down: not ready any more."""
    return {"type": "draining"}


def ready() -> Message:
    """Control serves the admin address."""
    return {"type": "ready"}


def control() -> Message:
    """The descriptor is the worker's end of a fresh channel to control; the one before it is void."""
    return {"type": "control"}


def drain() -> Message:
    """TERM: not ready, accept for `drain.delay`, then finish within `drain.timeout`."""
    return {"type": "drain"}


def quit_() -> Message:
    """QUIT: the same without the delay."""
    return {"type": "quit"}


def stop() -> Message:
    """INT: at once."""
    return {"type": "stop"}


def serving() -> Message:
    """The worker accepts on its sockets."""
    return {"type": "serving"}


def failed(error: str) -> Message:
    """The worker could not start, for a reason that trying again will not change."""
    return {"type": "failed", "error": error}


def control_lost() -> Message:
    """The worker's channel to control broke: it needs a fresh one."""
    return {"type": "control_lost"}
