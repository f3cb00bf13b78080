"""Debian's Nginx with the project's configuration, before instances of a test."""

from __future__ import annotations

import contextlib
import os
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

    def __init__(self, folder: Path, port: int, instances: list[int], text: str | None = None) -> None:
        """Start it before the instances on these ports. `text`: what stands in `http` instead of ours."""
        folder.mkdir()
        self.folder = folder
        self.port = port
        configuration = folder / "nginx.conf"
        configuration.write_text(self._ours(instances) if text is None else self._other(text))
        self.check = subprocess.run(["nginx", "-t", "-c", configuration], check=False, capture_output=True, text=True)
        self._process = subprocess.Popen(["nginx", "-c", configuration, "-g", "daemon off;"])
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), RawConnection(port):
                return
            assert self._process.poll() is None, self.check.stderr
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.01)

    def _ours(self, instances: list[int]) -> str:
        addresses = [f"127.0.0.1:{instance}" for instance in instances]
        command = [NGINX / "local.sh", str(self.port), self.folder, *addresses]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def _other(self, text: str) -> str:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in kinds)
        logs = f"error_log {self.folder}/error.log;\naccess_log {self.folder}/access.log;\n"
        user = "user root root;\n" if os.getuid() == 0 else ""
        return f"{user}pid {self.folder}/nginx.pid;\nevents {{}}\nhttp {{\n{logs}{folders}{text}}}\n"

    def log(self) -> str:
        """The access log until now."""
        return (self.folder / "access.log").read_text()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)
