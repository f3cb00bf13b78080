"""Debian's Nginx with the project's configuration, before instances of a test."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

from tests.raw_http import RawConnection

NGINX = Path(__file__).parents[1] / "nginx"
PATIENCE = 10.0


class Nginx:
    """Running for as long as it is not closed.

    Attributes:
        port: Where it listens.
        folder: Its logs.
    """

    def __init__(self, folder: Path, port: int, instances: list[int]) -> None:
        """Start it before the instances on these ports."""
        folder.mkdir()
        self.folder = folder
        self.port = port
        addresses = [f"127.0.0.1:{instance}" for instance in instances]
        command = [NGINX / "local.sh", str(port), folder, *addresses]
        configuration = folder / "nginx.conf"
        configuration.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        self.check = subprocess.run(["nginx", "-t", "-c", configuration], check=False, capture_output=True, text=True)
        self._process = subprocess.Popen(["nginx", "-c", configuration, "-g", "daemon off;"])
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), RawConnection(port):
                return
            assert self._process.poll() is None, self.check.stderr
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.01)

    def log(self) -> str:
        """The access log until now."""
        return (self.folder / "access.log").read_text()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)
