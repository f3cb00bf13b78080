"""What events cost that are kept in Redis, and how fast they reach another instance."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .figures import CHANNEL, Bench, Figure, Limit, quantiles
from .load import EVENT, Measured
from .servers import INSTANCES, Server

PATH = f"/apps/demo/channels/{CHANNEL}/publish"
STORED = "x" * 250
"""About as much as the gateway makes of the event."""
XADDS = 500_000
RATE = 1000


def publish(bench: Bench) -> Figure:
    sides = ("gateway", "redis-gateway")
    return Figure(
        "one event in each POST, 50 keep-alive connections, kept here or in Redis; the gateway alone",
        "CPU us",
        "publishes",
        {side: partial(bench.wrk, side, PATH, "event") for side in sides},
        (Limit(15, 8, "redis-gateway", "gateway", beyond=True),),
    )


def append(bench: Bench) -> Figure:
    redis = bench.servers["redis"]

    def by_gateway() -> Measured:
        before = redis.cpu_seconds(), appended(redis)
        bench.wrk("redis-gateway", PATH, "event")
        cpu, events = redis.cpu_seconds() - before[0], appended(redis) - before[1]
        return {"cpu_us": cpu / events * 1e6, "per_cpu_second": events / cpu}

    def by_xadd() -> Measured:
        before = redis.cpu_seconds()
        command = ["redis-benchmark", "-p", str(redis.port), "-P", "16", "-n", str(XADDS), "-q"]
        command += ["XADD", "benchmark", "MAXLEN", "~", "1000", "*", "e", STORED]
        subprocess.run(command, check=True, capture_output=True)
        cpu = redis.cpu_seconds() - before
        return {"cpu_us": cpu / XADDS * 1e6, "per_cpu_second": XADDS / cpu}

    return Figure(
        "Redis's own CPU for an event published as above, beside redis-benchmark -P 16 XADD of 250 bytes",
        "CPU us",
        "publishes",
        {"redis-gateway": by_gateway, "xadd": by_xadd},
        (Limit(2, 1.5, "redis-gateway", "xadd"),),
    )


def delivery(bench: Bench) -> Figure:
    def by_gateway() -> Measured:
        publisher = bench.servers["redis-gateway-2"].port
        options = ("--subscribers", "1", "--rate", str(RATE), "--publish-port", str(publisher))
        return quantiles(bench.load.fanout(bench.servers["redis-gateway"], "room:across", *options)["delivery_us"])

    def by_redis() -> Measured:
        command = [sys.executable, str(Path(__file__).with_name("pubsub.py")), str(bench.servers["redis"].port)]
        command += [str(RATE), str(bench.load.seconds), str(len(STORED))]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return quantiles(json.loads(said))

    return Figure(
        f"p99 from when an event was due at one instance until it was read from another, a fixed {RATE:,} events/s, "
        "beside PUBLISH and SUBSCRIBE by redis-py",
        "us",
        "deliveries",
        {"redis-gateway": by_gateway, "redis-py": by_redis},
        (Limit(2, 1.5, "redis-gateway", "redis-py"),),
    )


def balanced(bench: Bench) -> Figure:
    def measure(front: str) -> Measured:
        behind = INSTANCES if front == "nginx" else ()
        everybody = [bench.servers[name] for name in dict.fromkeys((front, "redis", *behind))]
        before = sum(server.cpu_seconds() for server in everybody)
        per_second = bench.wrk(front, PATH, "event")["per_second"]
        cpu = sum(server.cpu_seconds() for server in everybody) - before
        return {"cpu_us": cpu / (per_second * bench.load.seconds) * 1e6, "per_second": per_second}

    return Figure(
        "one event in each POST, 50 keep-alive connections, three instances behind Nginx beside one without; "
        "the CPU of Nginx, all instances and Redis",
        "CPU us",
        "publishes",
        {front: partial(measure, front) for front in ("nginx", "redis-gateway")},
        compare=(("nginx", "redis-gateway"),),
    )


def appended(redis: Server) -> int:
    """How many events the channel has had."""
    command = ["redis-cli", "-p", str(redis.port), "XINFO", "GROUPS", f"polyglot:{{demo:{CHANNEL}}}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(said[said.index("last-delivered-id") + 1].partition("-")[0]) if "last-delivered-id" in said else 0


assert len(EVENT) < len(STORED)

FIGURES: dict[str, Callable[[Bench], Figure]] = {
    "redis-publish": publish,
    "redis-append": append,
    "redis-delivery": delivery,
    "redis-balanced": balanced,
}
