"""The phoenix npm package in a Node process: commands go in, and all that happens comes out in order."""

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

from tests import npm
from tests.raw_http import PATIENCE

SOURCES = Path(__file__).with_name("phoenix")


def install() -> Path:
    """Install the package; returns the folder of client.mjs."""
    return npm.install(SOURCES)


class PhoenixClient:
    """One socket of the package. Each happening is a dict that says in "is" what it is; see client.mjs."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            ["node", "client.mjs"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._happened: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def do(self, what: str, **arguments: Any) -> Self:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": what} | arguments) + "\n")
        self.process.stdin.flush()
        return self

    def connect(self, port: int, key: str | None = "valid_key_demo", long_poll: bool = False, **options: Any) -> Self:
        params = {"app_id": "demo"} | ({"token": key} if key else {})
        options = {"params": params} | options
        scheme = "http" if long_poll else "ws"
        return self.do("connect", url=f"{scheme}://127.0.0.1:{port}/socket", longPoll=long_poll, options=options)

    def next(self, *kinds: str) -> dict[str, Any]:
        """The next happening of one of these kinds; those before it are dropped."""
        while True:
            happened = self._happened.get(timeout=PATIENCE)
            assert happened is not None, "the client ended"
            if happened["is"] in kinds:
                return happened

    def joined(self) -> Any:
        """The response of the next reply to a join, which is ok."""
        reply = self.next("join")
        assert reply["status"] == "ok", reply
        return reply["response"]

    def data(self, count: int) -> list[Any]:
        """The data of the next events."""
        return [self.next("event", "gap")["payload"]["data"] for _ in range(count)]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._happened.put(json.loads(line))
        self._happened.put(None)
