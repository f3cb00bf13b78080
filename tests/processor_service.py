"""Real processors: `polyglot processor` as a user starts it, on free ports."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.serving import PATIENCE, POLYGLOT, free_port, kill_with_workers, wait_until, workers_of


class ProcessorService:
    """One running `polyglot processor`.

    Attributes:
        folder: Where it runs, and finds the modules of functions.
        http_port: Its port for HTTP; 0 for none.
        grpc_port: Its port for gRPC; 0 for none.
        log: What it has written.
    """

    def __init__(
        self,
        folder: Path,
        function: str | None = None,
        *,
        workers: int = 1,
        http_port: int | None = None,
        grpc_port: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start it. `function`: module:name, in the folder or where Python finds it; None is the default function."""
        self.folder = folder
        self.http_port = free_port() if http_port is None else http_port
        self.grpc_port = free_port() if grpc_port is None else grpc_port
        self.log = folder / f"processor-{self.http_port}-{time.monotonic_ns()}.txt"
        command = [*POLYGLOT, "processor", "--http", str(self.http_port), "--grpc", str(self.grpc_port)]
        command += ["--workers", str(workers), *(["--function", function] if function else [])]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **(environment or {})}, stdout=log, stderr=subprocess.STDOUT
            )
        self._workers = workers

    @property
    def url(self) -> str:
        """Where it listens for HTTP."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc_target(self) -> str:
        """Where it listens for gRPC."""
        return f"127.0.0.1:{self.grpc_port}"

    def request(self, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
        """Send one request on a connection of its own; the body of the answer is in its `.body`."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=PATIENCE)) as client:
            client.request(method, path, body)
            response = client.getresponse()
            response.body = response.read()
            return response

    def post(self, path: str, value: Any) -> Any:
        """The answer to a value, both as JSON."""
        response = self.request("POST", path, json.dumps(value).encode())
        assert response.status == 200, response.body
        return json.loads(response.body)

    def wait_until_ready(self) -> "ProcessorService":
        """Return when every worker takes what comes."""

        def ready_or_dead() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return len(re.findall(r"Worker \d+ is ready", self.log.read_text())) >= self._workers

        wait_until(ready_or_dead, "the processor to be ready")
        return self

    def workers(self) -> list[int]:
        """The pids of its workers."""
        return workers_of(self.process)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill_everything(self) -> None:
        """As kill_with_workers."""
        kill_with_workers(self.process)
