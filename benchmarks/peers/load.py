"""Loads one server by wrk or by fanout, and says what that cost it."""

from __future__ import annotations

import json
import math
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polyglot_gateway.processor import json_wire
from polyglot_gateway.processor.base import Event

from .servers import PATIENCE, Server

CONNECTIONS = 50
EVENT = b'{"type": "message", "data": {"text": "Hello, everybody in this room; the meeting begins at noon, today."}}'
assert len(EVENT) == 106
BATCH = 100
PROCESSED = 50
"""Events in a batch for a processor."""
KEY = "valid_key_demo"

Measured = dict[str, float]
"""What one measurement gave; the first entry is the one that counts."""


class Load:
    """The tools, and for how long they work at a time."""

    def __init__(self, folder: Path, tools: Path, seconds: float) -> None:
        self.seconds = seconds
        self._fanout = str(tools / "fanout")
        bodies = {
            "event": EVENT,
            "batch": batch_of("room:batch", BATCH),
            "processed": json_wire.write_events(processed(1)).removeprefix(b'{"events":[').removesuffix(b"]}"),
            "processed-batch": json_wire.write_events(processed(PROCESSED)),
        }
        self._folder = folder
        for name, body in bodies.items():
            (folder / name).write_bytes(body)

    def wrk(self, server: Server, path: str, body: str = "", events: int = 1) -> Measured:
        """CPU microseconds per event of a server that CONNECTIONS keep-alive connections ask, each as fast as it can.

        `body` names what is posted ("event", "batch", "processed" or "processed-batch"); without it, this is a GET.
        """
        script = [str(Path(__file__).with_name("request.lua")), f"http://127.0.0.1:{server.port}{path}", "--"]
        request = ["POST", str(self._folder / body), "Content-Type: application/json"] if body else ["GET", "-"]
        duration = f"-d{math.ceil(self.seconds) + 1}s"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", duration, "-s", *script, *request, f"X-API-Key: {KEY}"]
        before = server.cpu_seconds()
        result = wrk_result(command, self.seconds)
        cpu = server.cpu_seconds() - before
        if result["errors"] or not result["requests"]:
            raise RuntimeError(f"{server.name} answered {path} with errors: {result}")
        count = result["requests"] * events
        return {"cpu_us": cpu / count * 1e6, "per_second": count / result["seconds"]}

    def fanout(self, server: Server, channel: str, *options: str, gives_way: bool = False) -> dict[str, Any]:
        """What fanout says; raises RuntimeError when anything was lost, out of order or refused.

        Args:
            server: Who is asked.
            channel: Of the events.
            options: Of fanout.
            gives_way: It never keeps a processor from another process, or threads of several that wake each other wait
                for its time slices while it spins.
        """
        command = ["chrt", "--idle", "0"] if gives_way else []
        command += [self._fanout, *where(server, channel), "--pid", str(server.worker)]
        command += ["--seconds", str(self.seconds), *options]
        patience = self.seconds + 6 * PATIENCE
        run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=patience)
        if run.returncode != 0:
            raise RuntimeError(f"{server.name}: {' '.join(command)}: {run.stdout}{run.stderr}")
        result: dict[str, Any] = json.loads(run.stdout)
        return result

    @contextmanager
    def idle(self, server: Server, channel: str, subscribers: int) -> Iterator[None]:
        """Subscribers that stay and are sent nothing."""
        command = [self._fanout, *where(server, channel), "--idle", str(subscribers)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                if not process.stdout.readline():
                    raise RuntimeError(f"{server.name}: {subscribers} idle subscribers could not be opened")
                yield
            finally:
                process.terminate()


def wrk_result(command: list[str], seconds: float) -> dict[str, float]:
    """Run wrk for `seconds`, which it would want to be whole, and return what request.lua says of it."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=PATIENCE)[0]
    for line in said.splitlines():
        if line.startswith("result "):
            result: dict[str, float] = json.loads(line.removeprefix("result "))
            return result
    raise RuntimeError(f"wrk: {said}")


def where(server: Server, channel: str) -> list[str]:
    """How fanout finds a channel of a server."""
    dialect = "nchan" if server.name == "nchan" else "gateway"
    return ["--dialect", dialect, "--port", str(server.port), "--channel", channel]


def processed(size: int) -> list[Event]:
    """The event `size` times, as a gateway sends it to a processor."""
    data, ulid = EVENT.partition(b'"data": ')[2][:-1], "01JCXW5Q1R2T3V4W5X6Y7Z8"
    return [
        Event(f"evt_{ulid}{number:03}", "demo", "room:test", "message", data, "2026-01-01T00:00:00.000000Z")
        for number in range(size)
    ]


def batch_of(channel: str, size: int) -> bytes:
    """The event `size` times, as one request."""
    return b'{"events":[' + b",".join([b'{"channel":"%s",' % channel.encode() + EVENT[1:]] * size) + b"]}"
