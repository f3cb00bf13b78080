"""A real Redis for tests, on a Unix socket in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import redis

PATIENCE = 10.0


class RedisServer:
    """Starts, kills, pauses and starts again the same Redis.

    Attributes:
        url: Where it listens.
        client: Asks it, for tests alone.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        """Start it; `options` are arguments of redis-server."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        # The address of a Unix socket has 108 bytes at most, and folders of tests have long names.
        self._socket = Path(f"/tmp/polyglot-redis-{os.getpid()}-{time.monotonic_ns()}.sock")
        self.url = f"unix://{self._socket}"
        self.client = redis.Redis.from_url(self.url)
        self.start()

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder)]
        command += ["--loglevel", "warning", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(redis.RedisError):
                self.client.ping()
                return self
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, f"redis-server did not answer within {PATIENCE} s"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """It takes connections and answers nobody."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its socket."""
        self.client.close()
        self.kill()
        self._socket.unlink(missing_ok=True)
