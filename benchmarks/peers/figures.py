"""What is compared: every figure, its sides and its limits. `Peers` in benchmarks/README.md says how each is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .load import BATCH, KEY, Load, Measured, batch_of
from .servers import Server, Servers

CHANNEL = "room:test"
FALCON = "/api/debug/circuit-breaker"
"""A route of Falcon's whose answer is a constant, whichever server is before it."""
WARM = 200
"""Idle subscribers that are there before memory is measured, so that what is needed once is not counted."""


@dataclass(frozen=True)
class Limit:
    """What `numerator` / `denominator` must be and ought to be; `numerator` itself when there is no denominator.

    With `beyond`, what it is more than the denominator.
    """

    must: float
    aim: float
    numerator: str
    denominator: str = ""
    at_least: bool = False
    beyond: bool = False


@dataclass(frozen=True)
class Figure:
    """One comparison.

    Attributes:
        title: What is measured.
        unit: Of the first entry of what a side returns, which is the one that counts.
        counts: What the number is a number of: publishes, deliveries, requests, connections.
        sides: They measure in turn.
        limits: What has to hold.
        compare: Ratios that are printed without a limit.
        warm: Begin with a round that does not count.
    """

    title: str
    unit: str
    counts: str
    sides: dict[str, Callable[[], Measured]]
    limits: tuple[Limit, ...] = ()
    compare: tuple[tuple[str, str], ...] = ()
    warm: bool = True


@dataclass(frozen=True)
class Bench:
    """What the figures are taken with: servers, tools, and the number of idle subscribers."""

    servers: Servers
    load: Load
    idle: int

    def wrk(self, server: str, path: str, body: str = "", events: int = 1) -> Measured:
        """See Load.wrk."""
        return self.load.wrk(self.servers[server], path, body, events)


def publish(bench: Bench) -> Figure:
    path = f"/apps/demo/channels/{CHANNEL}/publish"
    paths = {"floor": path, "gateway": path, "nchan": f"/pub?id={CHANNEL}"}
    return Figure(
        "one event in each POST, 50 keep-alive connections",
        "CPU us",
        "publishes",
        {side: partial(bench.wrk, side, path, "event") for side, path in paths.items()},
        (Limit(0.90, 0.82, "gateway", "nchan"),),
        (("gateway", "floor"),),
    )


def batch(bench: Bench) -> Figure:
    def measure() -> Measured:
        publish_batch(bench.servers["gateway"], "room:batch")
        return bench.wrk("gateway", "/apps/demo/publish", "batch", BATCH)

    return Figure(
        f"{BATCH} events in each POST, 50 keep-alive connections, per event",
        "CPU us",
        "publishes",
        {"floor": partial(bench.wrk, "floor", "/apps/demo/publish", "batch", BATCH), "gateway": measure},
        (Limit(0.5, 0.3, "gateway"),),
        (("gateway", "floor"),),
    )


def falcon(bench: Bench) -> Figure:
    return Figure(
        f"GET {FALCON}, a Falcon route that answers a constant, 50 keep-alive connections",
        "CPU us",
        "requests",
        {side: partial(bench.wrk, side, FALCON) for side in ("gateway", "gunicorn")},
        (Limit(6, 8, "gunicorn", "gateway", at_least=True),),
    )


def delivery(bench: Bench, subscribers: int, window: int, must: float, aim: float) -> Figure:
    def measure(side: str) -> Measured:
        options = ("--subscribers", str(subscribers), "--window", str(window))
        result = bench.load.fanout(bench.servers[side], f"room:{subscribers}:{window}", *options)
        return {
            "cpu_us": result["server_cpu"] / result["deliveries"] * 1e6,
            "per_second": result["deliveries"] / result["seconds"],
            "tool_cpu_share": result["tool_cpu"] / result["seconds"],
        }

    together = "one event at a time" if window == 1 else f"bursts of {window}"
    return Figure(
        f"{subscribers} WebSocket subscribers, {together}, the publishes' own cost included",
        "CPU us",
        "deliveries",
        {side: partial(measure, side) for side in ("gateway", "nchan")},
        (Limit(must, aim, "gateway", "nchan"),),
    )


def latency(bench: Bench) -> Figure:
    def measure(side: str) -> Measured:
        options = ("--subscribers", "100", "--rate", "1000")
        return quantiles(bench.load.fanout(bench.servers[side], "room:latency", *options)["delivery_us"])

    return Figure(
        "p99 from when an event was due until it was read, 100 subscribers, a fixed 1,000 events/s",
        "us",
        "deliveries",
        {side: partial(measure, side) for side in ("gateway", "nchan")},
        (Limit(1.0, 0.7, "gateway", "nchan"),),
    )


def history(bench: Bench) -> Figure:
    def measure() -> Measured:
        publish_batch(bench.servers["gateway"], "room:history")
        return bench.wrk("gateway", "/apps/demo/channels/room:history/history?limit=100")

    return Figure(
        f"GET of the newest {BATCH} events beside GET /alive, 50 keep-alive connections",
        "CPU us",
        "requests",
        {"history": measure, "alive": partial(bench.wrk, "gateway", "/alive")},
        (Limit(3, 2, "history", "alive"),),
    )


def memory(bench: Bench) -> Figure:
    def measure(side: str) -> Measured:
        with bench.servers.fresh(side) as server, bench.load.idle(server, "room:idle", WARM):
            before = server.resident_bytes()
            with bench.load.idle(server, "room:idle", bench.idle):
                return {"bytes": (server.resident_bytes() - before) / bench.idle}

    return Figure(
        f"growth of the worker's resident memory by each of {bench.idle} idle subscribers, user space",
        "bytes",
        "connections",
        {side: partial(measure, side) for side in ("gateway", "nchan")},
        (Limit(4096, 1536, "gateway"),),
        (("gateway", "nchan"),),
        warm=False,
    )


def idle(bench: Bench) -> Figure:
    def measure(side: str, subscribers: int) -> Measured:
        server = bench.servers[side]
        with bench.load.idle(server, "room:idle", subscribers):
            options = ("--subscribers", "1", "--rate", "10000")
            return quantiles(bench.load.fanout(server, "room:busy", *options)["answer_us"])

    return Figure(
        f"p99 of the answers to a fixed 10,000 publishes/s beside {bench.idle} idle subscribers",
        "us",
        "publishes",
        {
            "gateway": partial(measure, "gateway", bench.idle),
            "one idle": partial(measure, "gateway", 1),
            "nchan": partial(measure, "nchan", bench.idle),
        },
        compare=(("gateway", "one idle"), ("gateway", "nchan")),
        warm=False,
    )


def conflate(bench: Bench) -> Figure:
    def measure() -> Measured:
        options = ("--subscribers", "100", "--rate", "100000", "--batch", str(BATCH), "--conflate")
        result = bench.load.fanout(bench.servers["gateway"], "conflate:test", *options)
        return {
            "cpu_us": result["server_cpu"] / result["publishes"] * 1e6,
            "publishes_per_second": result["publishes"] / result["seconds"],
            "deliveries_per_second": result["deliveries"] / result["seconds"],
            "answer_p99_us": result["answer_us"]["p99"],
            "delivery_p99_us": result["delivery_us"]["p99"],
        }

    return Figure(
        f"a fixed 100,000 events/s in batches of {BATCH} to 100 subscribers that get the latest only, per publish",
        "CPU us",
        "publishes",
        {"gateway": measure},
    )


def publish_batch(gateway: Server, channel: str) -> None:
    """Publish BATCH events; RuntimeError if not all of them are taken, which the status does not say."""
    headers = {"X_API_Key": KEY, "Content_Type": "application/json"}
    status, body = gateway.request("POST", "/apps/demo/publish", batch_of(channel, BATCH), **headers)
    if status != 200 or body.count(b'"offset":') != BATCH:
        raise RuntimeError(f"{gateway.name} answered a batch with {status} {body[:500]!r}")


def quantiles(latencies: dict[str, float]) -> Measured:
    """The p99 first, because it is what counts."""
    return {name: latencies[name] for name in ("p99", "p50", "p99.9")}


FIGURES: dict[str, Callable[[Bench], Figure]] = {
    "publish": publish,
    "batch": batch,
    "falcon": falcon,
    "delivery-100": partial(delivery, subscribers=100, window=1, must=1.0, aim=0.9),
    "delivery-500": partial(delivery, subscribers=500, window=1, must=0.5, aim=0.3),
    "burst-100": partial(delivery, subscribers=100, window=20, must=0.2, aim=0.1),
    "burst-500": partial(delivery, subscribers=500, window=20, must=0.2, aim=0.1),
    "latency": latency,
    "history": history,
    "memory": memory,
    "idle": idle,
    "conflate": conflate,
}
