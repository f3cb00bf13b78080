"""A gunicorn with one worker, and a client that keeps it busy: for the gates that compare whole servers."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATIENCE = 20.0
CONNECTIONS = 8


class Server:
    """One worker of gunicorn with the gateway.

    Attributes:
        worker: Process id of the worker.
    """

    def __init__(self, folder: Path, worker_class: str) -> None:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        command = [
            "-m",
            "gunicorn",
            "-k",
            worker_class,
            "-w",
            "1",
            "-b",
            f"127.0.0.1:{self.port}",
            "--keep-alive",
            "60",
        ]
        self._log = (folder / "log.txt").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, *command, "--no-control-socket", "--pythonpath", str(HERE), "served:application()"],
            cwd=folder,
            # The smallest log, so that it is soon gone round and its pages are warm.
            env={"DATA_DIR": "data", "HISTORY_BYTES": str(1 << 20), "MAX_CHANNELS": "100", "LOG_LEVEL": "error"},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + PATIENCE
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while not self._answers():
            assert self._process.poll() is None, self._said()
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.05)
        (self.worker,) = (int(pid) for pid in children.read_text().split())

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0) as connection:
            connection.sendall(b"GET /ready HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
        return False

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def cpu_seconds(self) -> float:
        """User and system time of the worker, all its threads, to the nanosecond.

        The clock of another process has the number that clock_getcpuclockid(3) makes from its id; /proc has the same
        time, but only in hundredths of a second.
        """
        return time.clock_gettime(~self.worker << 3 | 2)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()


class Client:
    """Keep-alive connections that each have one request under way."""

    def __init__(self, port: int, connections: int = CONNECTIONS) -> None:
        self._connections = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(connections)]

    def post(self, path: str, body: bytes, requests: int) -> None:
        """Send the body to the path so many times."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: valid_key_demo\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._send(head.encode() + body, requests)

    def get(self, path: str, requests: int) -> None:
        """Ask for the path so many times."""
        self._send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), requests)

    def _send(self, request: bytes, requests: int) -> None:
        for _ in range(requests // len(self._connections)):
            for connection in self._connections:
                connection.sendall(request)
            for connection in self._connections:
                self._read_reply(connection)

    @staticmethod
    def _read_reply(connection: socket.socket) -> None:
        reply = connection.recv(65536)
        while b"\r\n\r\n" not in reply:
            reply += connection.recv(65536) or pytest.fail(f"the connection ended after {reply!r}")
        head, _, body = reply.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), reply
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536) or pytest.fail(f"the connection ended after {reply!r}")

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
