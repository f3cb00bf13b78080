"""What a processor gets through, and what it costs a gateway to have events processed before they are kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from .figures import CHANNEL, Bench, Figure, Limit, quantiles
from .load import PROCESSED, Measured

RATE = 10_000


def processor(bench: Bench) -> Figure:
    def by_http(path: str, body: str, events: int) -> Measured:
        measured = bench.wrk("processor", path, body, events)
        return {"per_second": measured["per_second"], "cpu_us": measured["cpu_us"]}

    def by_grpc() -> Measured:
        server = bench.servers["processor"]
        before = server.cpu_seconds()
        command = [sys.executable, "-m", "benchmarks.peers.processor_load"]
        command += [str(server.grpc_port), str(bench.load.seconds)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cpu = server.cpu_seconds() - before
        return {"per_second": said["events"] / said["seconds"], "cpu_us": cpu / said["events"] * 1e6}

    return Figure(
        f"events of 106 bytes through a processor that accepts all: POST /process, and batches of {PROCESSED}",
        "events/s",
        "events",
        {
            "http-one-by-one": partial(by_http, "/process", "processed", 1),
            "http-batch": partial(by_http, "/process-batch", "processed-batch", PROCESSED),
            "grpc-batch": by_grpc,
        },
        (Limit(5, 10, "grpc-batch", "http-one-by-one", at_least=True),),
        (("grpc-batch", "http-batch"),),
    )


def publish(bench: Bench) -> Figure:
    sides = ("gateway", "processor-gateway")
    return Figure(
        "one event in each POST, 50 keep-alive connections, also with a processor over gRPC; the gateway alone",
        "CPU us",
        "publishes",
        {side: partial(bench.wrk, side, f"/apps/demo/channels/{CHANNEL}/publish", "event") for side in sides},
        (Limit(10, 8, "processor-gateway", "gateway", beyond=True),),
    )


def delay(bench: Bench) -> Figure:
    def measure(side: str) -> Measured:
        options = ("--subscribers", "1", "--rate", str(RATE), "--batch", str(PROCESSED))
        told = bench.load.fanout(bench.servers[side], "room:processed", *options, gives_way=True)
        return quantiles(told["delivery_us"])

    return Figure(
        f"p99 of deliveries at a fixed {RATE:,} events/s, {PROCESSED} in each POST, kept as they are or by a processor",
        "us",
        "deliveries",
        {side: partial(measure, side) for side in ("gateway", "processor-gateway")},
        (Limit(5000, 3000, "processor-gateway", "gateway", beyond=True),),
    )


FIGURES: dict[str, Callable[[Bench], Figure]] = {
    "processor-grpc": processor,
    "processor-publish": publish,
    "processor-delay": delay,
}
