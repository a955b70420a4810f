"""Every metric family of fastgw: its name, kind, labels, help and buckets, written once.

Nothing is counted here: `series` holds the cells, the ledger writes them, control renders them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric family. `number` identifies it in shared memory, so it is never used twice.

    `buckets` are upper bounds in seconds, the last one (infinity) left out: `bisect_left(buckets, seconds)`
    is the bucket that a value belongs to.
    """

    number: int
    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Cells of one series: a histogram has one per bucket, one for infinity and one for the sum."""
        return len(self.buckets) + 2 if self.kind is Kind.HISTOGRAM else 1


# From half a millisecond (a local refusal is faster) to the minute of the longest default deadline.
_DURATIONS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
# Time that is ours: buckets from 100 us; what takes longer than a second is a defect.
_OWN_TIME = (0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)

REQUESTS = Family(
    1,
    "fastgw_requests_total",
    Kind.COUNTER,
    ("route", "method", "code", "source"),
    "Exchanges that ended, by who made the answer (gateway or upstream).",
)
REJECTIONS = Family(
    2,
    "fastgw_rejections_total",
    Kind.COUNTER,
    ("route", "reason"),
    "Exchanges that ended with a reason other than ok.",
)
REQUEST_DURATION = Family(
    3,
    "fastgw_request_duration_seconds",
    Kind.HISTOGRAM,
    ("route",),
    "From the first byte of the request to the last byte of the answer.",
    _DURATIONS,
)
GATEWAY_DURATION = Family(
    4,
    "fastgw_gateway_duration_seconds",
    Kind.HISTOGRAM,
    ("route",),
    "The share of the duration that the gateway itself took.",
    _OWN_TIME,
)
UPSTREAM_DURATION = Family(
    5,
    "fastgw_upstream_duration_seconds",
    Kind.HISTOGRAM,
    ("upstream",),
    "From the request handed to a target to the end of its answer.",
    _DURATIONS,
)
RETRIES = Family(
    6, "fastgw_retries_total", Kind.COUNTER, ("upstream",), "Attempts beyond the first one of an exchange."
)
UPSTREAM_CONNECTIONS_OPENED = Family(
    7,
    "fastgw_upstream_connections_opened_total",
    Kind.COUNTER,
    ("upstream",),
    "Connections opened to targets.",
)
UPSTREAM_IN_FLIGHT = Family(
    8,
    "fastgw_upstream_in_flight",
    Kind.GAUGE,
    ("upstream", "target"),
    "Attempts that a target is working on.",
)
WEBSOCKETS = Family(9, "fastgw_websockets", Kind.GAUGE, (), "Open WebSocket tunnels.")
MEMO_MISSES = Family(
    10,
    "fastgw_memo_misses_total",
    Kind.COUNTER,
    ("kind",),
    "Heads that the memo of validated header blocks did not know.",
)
LIMIT_DECISIONS = Family(
    11,
    "fastgw_limit_decisions_total",
    Kind.COUNTER,
    ("route", "limit", "outcome", "mode"),
    "What limits decided (admitted, refused, shadow), and on which store (redis, lease, local, allow, deny).",
)
LIMIT_STORE_UP = Family(
    12,
    "fastgw_limit_store_up",
    Kind.GAUGE,
    ("worker",),
    "1 while the worker asks the store of the limits, 0 while its buckets are local.",
)
LIMIT_STORE_COMMANDS = Family(
    13, "fastgw_limit_store_commands_total", Kind.COUNTER, (), "Commands sent to the store of the limits."
)
LIMIT_STORE_FAILURES = Family(
    14,
    "fastgw_limit_store_failures_total",
    Kind.COUNTER,
    ("kind",),
    "Commands to the store that were not answered in time (timeout), or with an error (error).",
)
SHADOW_REFUSALS = Family(
    15,
    "fastgw_shadow_refusals_total",
    Kind.COUNTER,
    ("route", "rule"),
    "Exchanges that a policy in shadow mode would have refused.",
)
RETRIES_REFUSED = Family(
    16,
    "fastgw_retries_refused_total",
    Kind.COUNTER,
    ("upstream", "why"),
    "Retries that were due and not made: the budget was spent, or every circuit open (breaker).",
)
BREAKER_STATE = Family(
    17,
    "fastgw_breaker_state",
    Kind.GAUGE,
    ("upstream", "target", "worker"),
    "0 closed, 1 half open, 2 open. An empty target: the upstream's own circuit.",
)
BREAKER_TRANSITIONS = Family(
    18,
    "fastgw_breaker_transitions_total",
    Kind.COUNTER,
    ("upstream", "target", "to", "cause"),
    "Changes of a circuit's state, with the kind of their cause.",
)
BREAKER_NEXT_PROBE = Family(
    19,
    "fastgw_breaker_next_probe_timestamp_seconds",
    Kind.GAUGE,
    ("upstream", "target", "worker"),
    "When an open circuit lets a probe in, in seconds since the epoch; 0 while none is due.",
)
TARGET_HEALTHY = Family(
    26,
    "fastgw_target_healthy",
    Kind.GAUGE,
    ("upstream", "target", "worker"),
    "1 while the active checks find the target healthy, or there are none.",
)

# What every worker shows of itself comes from the fixed words of its slot, not from cells.
CONNECTIONS = Family(20, "fastgw_connections", Kind.GAUGE, ("worker",), "Open connections of clients.")
IN_FLIGHT = Family(21, "fastgw_in_flight", Kind.GAUGE, ("worker",), "Exchanges in flight.")
CONFIG_VERSION = Family(
    22,
    "fastgw_config_version",
    Kind.GAUGE,
    ("worker",),
    "Version of the configuration that the worker serves.",
)
LOOP_LAG = Family(
    23, "fastgw_loop_lag_seconds", Kind.GAUGE, ("worker",), "How late the worker's last tick came."
)
LOG_LINES_DROPPED = Family(
    24,
    "fastgw_log_lines_dropped_total",
    Kind.COUNTER,
    ("worker",),
    "Access log lines dropped because the log pipe was full.",
)
WORKER_RESPAWNS = Family(
    25,
    "fastgw_worker_respawns_total",
    Kind.COUNTER,
    ("worker",),
    "How often the worker had to be replaced.",
)
WORKER_HEARTBEATS = Family(
    27,
    "fastgw_worker_heartbeats_total",
    Kind.COUNTER,
    ("worker",),
    "Ticks of the worker's loop, ten in a second: one that hangs has none.",
)
WORKER_RESIDENT_MEMORY = Family(
    28,
    "fastgw_worker_resident_memory_bytes",
    Kind.GAUGE,
    ("worker",),
    "Memory of the worker, what it shares with others included.",
)

# What control knows of the gateway as a whole; never in shared memory.
BUILD_INFO = Family(
    29, "fastgw_build_info", Kind.GAUGE, ("version", "python"), "1, with the versions of fastgw and of Python."
)
START_TIME = Family(
    30, "fastgw_start_time_seconds", Kind.GAUGE, (), "When the gateway was started, in seconds since the epoch."
)
READY = Family(31, "fastgw_ready", Kind.GAUGE, (), "1 while /readyz says that the gateway is ready for traffic.")
CONTROL_RESTARTS = Family(
    32,
    "fastgw_control_restarts_total",
    Kind.COUNTER,
    (),
    "How often the control process had to be started again.",
)
CONFIG_PUBLISHED_VERSION = Family(
    33,
    "fastgw_config_published_version",
    Kind.GAUGE,
    (),
    "Version of the configuration that every worker should serve.",
)
CONFIG_LAST_PUBLISH = Family(
    34,
    "fastgw_config_last_publish_timestamp_seconds",
    Kind.GAUGE,
    (),
    "When this version came into force here, in seconds since the epoch.",
)
CONFIG_LAST_RELOAD_SUCCESSFUL = Family(
    35,
    "fastgw_config_last_reload_successful",
    Kind.GAUGE,
    (),
    "0 while the file was refused when it was last read.",
)
TAIL_WATCHERS = Family(
    36, "fastgw_tail_watchers", Kind.GAUGE, (), "Who is looking at the live tail of exchanges."
)
LIMIT_STORE_CONFIGURED = Family(
    37,
    "fastgw_limit_store_configured",
    Kind.GAUGE,
    (),
    "1 where the configuration has a store for the limits, which is then missed while it is down.",
)

# The families whose series live in the cells of a slot.
FAMILIES: tuple[Family, ...] = (
    REQUESTS,
    REJECTIONS,
    REQUEST_DURATION,
    GATEWAY_DURATION,
    UPSTREAM_DURATION,
    RETRIES,
    UPSTREAM_CONNECTIONS_OPENED,
    UPSTREAM_IN_FLIGHT,
    WEBSOCKETS,
    MEMO_MISSES,
    LIMIT_DECISIONS,
    LIMIT_STORE_UP,
    LIMIT_STORE_COMMANDS,
    LIMIT_STORE_FAILURES,
    SHADOW_REFUSALS,
    RETRIES_REFUSED,
    BREAKER_STATE,
    BREAKER_TRANSITIONS,
    BREAKER_NEXT_PROBE,
    TARGET_HEALTHY,
)

# The families rendered from the fixed words of the slots.
WORKER_FAMILIES: tuple[Family, ...] = (
    CONNECTIONS,
    IN_FLIGHT,
    CONFIG_VERSION,
    LOOP_LAG,
    LOG_LINES_DROPPED,
    WORKER_RESPAWNS,
    WORKER_HEARTBEATS,
    WORKER_RESIDENT_MEMORY,
)

# The families rendered from what control knows.
GATEWAY_FAMILIES: tuple[Family, ...] = (
    BUILD_INFO,
    START_TIME,
    READY,
    CONTROL_RESTARTS,
    CONFIG_PUBLISHED_VERSION,
    CONFIG_LAST_PUBLISH,
    CONFIG_LAST_RELOAD_SUCCESSFUL,
    LIMIT_STORE_CONFIGURED,
    TAIL_WATCHERS,
)
