"""Real gateways: `polyglot serve` as a user starts it, on a free port, with a data folder of its own."""

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 20.0
POLYGLOT = (sys.executable, "-c", "from polyglot_gateway.cli import main; main()")


def wait_until(
    condition: Callable[[], Any], what: str, patience: float = PATIENCE, pause: Callable[[float], None] = time.sleep
) -> Any:
    """What `condition` returned once it was true; gevent's loop runs meanwhile with its own `pause`."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {patience} s for {what}"
        pause(0.01)
    return value


def serve_command(port: int) -> tuple[str, ...]:
    """What starts a gateway on this port."""
    return (*POLYGLOT, "serve", "--bind", f"127.0.0.1:{port}")


def is_running(pid: int) -> bool:
    """Also false for a dead process that nobody has reaped yet."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The pids of the processes that it has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


def kill_with_workers(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the master and then to its workers: nobody gets to say a last word."""
    workers = workers_of(process)
    process.kill()
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(PATIENCE)
    wait_until(lambda: not any(map(is_running, workers)), "the workers' end")


class Gateway:
    """One running `polyglot serve`, and a client of it.

    `command` runs it in another way, and then `said` is what its log says once it listens; `host` is where, when
    that is not this machine's loopback.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        command: tuple[str, ...] | None = None,
        said: str = "polyglot: serving",
        host: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = port
        self.said = said
        self.log = folder / f"log-{port}-{time.monotonic_ns()}.txt"
        ours = {"PORT", "BIND", "DATA_DIR", "WORKERS", "SERVER", "POLYGLOT_ENV", "MIX_ENV", "POLYGLOT_CONFIG"}
        inherited = {name: value for name, value in os.environ.items() if name not in ours}
        small = {"HISTORY_BYTES": str(16 << 20), "MAX_CHANNELS": "1000"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*(command or serve_command(port)), *arguments],
                cwd=folder,
                env={**inherited, **small, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def key_of(self, app: str) -> str:
        """A key with which its clients may do everything in an app."""
        return f"valid_key_{app}"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        app: str = "demo",
    ) -> http.client.HTTPResponse:
        """Send one request on a connection of its own; the body of the answer is in its `.body`."""
        with contextlib.closing(http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)) as connection:
            sent = {"X-API-Key": self.key_of(app), "Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            response.body = response.read()
            return response

    def publish(self, channel: str, data: Any, app: str = "demo") -> dict[str, Any]:
        body = json.dumps({"type": "message", "data": data}).encode()
        response = self.request("POST", f"/apps/{app}/channels/{channel}/publish", body, app=app)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def history(self, channel: str, query: str = "limit=1000", app: str = "demo") -> dict[str, Any]:
        response = self.request("GET", f"/apps/{app}/channels/{channel}/history?{query}", app=app)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def subscribe(self, channel: str, query: str = "", last_event_id: str = "", app: str = "demo") -> "Stream":
        return Stream(self.port, f"/apps/{app}/channels/{channel}/events{query}", last_event_id)

    def is_ready(self) -> bool:
        try:
            return self.request("GET", "/ready").status == 200
        except OSError:
            return False

    def wait_until_ready(self) -> "Gateway":
        def ready_or_dead() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.said in self.log.read_text() and self.is_ready()

        wait_until(ready_or_dead, "the gateway to be ready")
        return self

    def workers(self) -> list[int]:
        return workers_of(self.process)

    def kill_everything(self) -> None:
        """As kill_with_workers."""
        kill_with_workers(self.process)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


class Stream:
    """A subscriber: an open SSE response."""

    def __init__(self, port: int, path: str, last_event_id: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        resume = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: gateway\r\n{resume}\r\n".encode())
        self.response = http.client.HTTPResponse(self.socket)
        self.response.begin()
        self.last_id = last_event_id

    def next(self) -> tuple[str, Any]:
        """(type, data) of the next event that has data; EOFError when the stream ends."""
        type_, data = "message", None
        while line := self.response.readline().decode():
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "event":
                type_ = value
            elif field == "data":
                data = json.loads(value)
            elif field == "id":
                self.last_id = value
            elif not line.strip():
                if data is not None:
                    return type_, data
                type_ = "message"
        raise EOFError

    def close(self) -> None:
        self.response.close()
        self.socket.close()


# Below those that the kernel gives to connections, and for each of several processes that run tests others.
_FIRST_PORT = 10_000 + 2_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.cycle(random.sample(range(_FIRST_PORT, _FIRST_PORT + 2_000), 2_000))


def free_port() -> int:
    """A port that nobody listens on, and that nobody else who asks here is told soon."""
    for port in _ports:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("all ports are taken")
