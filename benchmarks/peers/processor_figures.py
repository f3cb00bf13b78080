"""What a processor gets through, one by one and in batches."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from .figures import Bench, Figure, Limit
from .load import PROCESSED, Measured


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


FIGURES: dict[str, Callable[[Bench], Figure]] = {"processor-grpc": processor}
