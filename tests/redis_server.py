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


def wait_for_answer(client: redis.Redis, process: subprocess.Popen[bytes]) -> None:
    """Return when it answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(redis.RedisError):
            client.ping()
            return
        assert process.poll() is None, "redis-server ended"
        assert time.monotonic() < deadline, f"redis-server did not answer within {PATIENCE} s"
        time.sleep(0.01)


class RedisServer:
    """Starts, kills, pauses and starts again the same Redis.

    Attributes:
        url: Where it listens.
        client: Asks it, for tests alone.
    """

    def __init__(self, folder: Path, *options: str, port: int = 0, host: str = "127.0.0.1") -> None:
        """Start it; `options` are arguments of redis-server. With a port, its URL is that of `host`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        # The address of a Unix socket has 108 bytes at most, and folders of tests have long names.
        self._socket = Path(f"/tmp/polyglot-redis-{os.getpid()}-{time.monotonic_ns()}.sock")
        self._port = port
        self._host = host
        self.url = f"redis://{host}:{port}" if port else f"unix://{self._socket}"
        self.client = redis.Redis.from_url(self.url)
        self.start()

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", str(self._port), "--bind", self._host, "--dir", str(self._folder)]
        if self._host != "127.0.0.1":
            command += ["--protected-mode", "no"]
        command += ["--loglevel", "warning", "--unixsocket", str(self._socket), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for_answer(self.client, self._process)
        return self

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


class Sentinel:
    """One Sentinel, which alone decides that a master is gone.

    Attributes:
        url: Where a gateway finds the master by it.
        client: Asks it, for tests alone.
    """

    def __init__(self, folder: Path, port: int, master: int) -> None:
        """Watch the Redis on port `master`."""
        folder.mkdir(parents=True)
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor mymaster 127.0.0.1 {master} 1\n"
            "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 2000\n"
        )
        self.url = f"sentinel://127.0.0.1:{port}/mymaster"
        self.client = redis.Redis(port=port)
        command = ["redis-server", str(configuration), "--sentinel"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for_answer(self.client, self._process)

    def close(self) -> None:
        """End it."""
        self.client.close()
        self._process.kill()
        self._process.wait()
