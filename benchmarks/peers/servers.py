"""The servers that are compared: each with one worker process, on a free port of loopback, without access logs."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .machine import ROOT

PATIENCE = 20.0
INSTANCES = ("redis-gateway", "redis-gateway-2", "redis-gateway-3")
"""Gateways that have their events in the Redis `redis`."""
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIG = """\
[apps."*"]
rules = [{ channels = "conflate:*", conflate = true }]
"""
NGINX = """\
daemon off;
{user}
worker_processes 1;
load_module {module};
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_max_body_size 1m;
  nchan_shared_memory_size 256M;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location = /pub {{
      nchan_publisher;
      nchan_channel_id $arg_id;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 1h;
    }}
    location = /sub {{
      nchan_subscriber websocket;
      nchan_channel_id $arg_id;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Server:
    """A running server, ended by `close`, and with it only what it started.

    Attributes:
        port: Where it listens.
        grpc_port: Where it does for gRPC; of a processor only.
        worker: Process id of the worker, whose CPU and memory count.
    """

    def __init__(
        self, name: str, folder: Path, command: list[str], port: int, grpc_port: int = 0, **environment: str
    ) -> None:
        self.name = name
        self.port = port
        self.grpc_port = grpc_port
        self._log = folder / f"{name}.log"
        inherited = {variable: os.environ[variable] for variable in ("PATH", "HOME") if variable in os.environ}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=inherited | environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._wait()
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            self.worker = int(children[0]) if children else self._process.pid
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not answer; it said: {self._log.read_text()[-2000:].strip()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        if self.name == "redis":
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return True
            return False
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/alive")[0] < 500
        return False

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of one answer, over a connection of its own; `_` in the names of headers stands for `-`."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def cpu_seconds(self) -> float:
        """User and system time of the worker, all its threads; see the same in benchmarks/gates/test_wsgi.py."""
        return time.clock_gettime(~self.worker << 3 | 2)

    def resident_bytes(self) -> int:
        """What the worker has in memory, of the files and the shared memory that it maps too."""
        return int(Path(f"/proc/{self.worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """End it, and wait for its end."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port


class Servers:
    """Starts each server when it is first asked for; all of them are ended by `close`."""

    def __init__(self, folder: Path, tools: Path, gateway: str) -> None:
        self._folder = folder
        self._tools = tools
        self._gateway = gateway
        self._running: dict[str, Server] = {}
        self._started = 0

    def __getitem__(self, name: str) -> Server:
        if name not in self._running:
            self._running[name] = self._start(name)
        return self._running[name]

    @contextlib.contextmanager
    def fresh(self, name: str) -> Iterator[Server]:
        """A server of its own, which has not served anybody."""
        server = self._start(name)
        try:
            yield server
        finally:
            server.close()

    def close(self) -> None:
        """End all of them."""
        while self._running:
            self._running.popitem()[1].close()

    def _start(self, name: str) -> Server:
        self._started += 1
        folder = self._folder / f"{name}-{self._started}"
        folder.mkdir()
        port = free_port()
        if name == "floor":
            return Server(name, folder, [str(self._tools / "floor"), str(port)], port)
        if name == "nchan":
            user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
            (folder / "nginx.conf").write_text(NGINX.format(user=user, module=NCHAN, port=port))
            return Server(name, folder, ["nginx", "-p", str(folder), "-c", "nginx.conf"], port)
        if name == "redis":
            command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder), "--loglevel", "warning"]
            return Server(name, folder, command, port)
        if name == "nginx":
            (folder / "nginx.conf").write_text(self._balancer(folder, port))
            return Server(name, folder, ["nginx", "-p", str(folder), "-c", "nginx.conf"], port)
        polyglot = [sys.executable, "-c", "from polyglot_gateway.cli import main; main()"]
        if name == "processor":
            grpc_port = free_port()
            ports = ["--http", str(port), "--grpc", str(grpc_port)]
            return Server(name, folder, [*polyglot, "processor", "--workers", "1", *ports], port, grpc_port)
        (folder / "polyglot.toml").write_text(CONFIG)
        bind = f"127.0.0.1:{port}"
        environment = {}
        if name.startswith("redis-gateway"):
            environment["REDIS_URL"] = f"redis://127.0.0.1:{self['redis'].port}"
        if name == "processor-gateway":
            processor = self["processor"]
            environment = {"PROCESSOR_URL": f"http://127.0.0.1:{processor.port}", "USE_GRPC": "true"}
            environment["PROCESSOR_GRPC_PORT"] = str(processor.grpc_port)
        if name == "gateway" or environment:
            command = [*polyglot, "serve", "--server", self._gateway, "--workers", "1", "--bind", bind]
        elif name == "gunicorn":
            application = "polyglot_gateway.app:create_app()"
            command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1", "-b", bind, "--keep-alive", "60"]
            command += ["--no-control-socket", application]
        else:
            raise KeyError(name)
        # The smallest log, so that it is soon gone round and its pages are warm.
        small = {"HISTORY_BYTES": str(1 << 20), "MAX_CHANNELS": "100", "LOG_LEVEL": "error"}
        return Server(name, folder, command, port, **small, **environment)

    def _balancer(self, folder: Path, port: int) -> str:
        """The configuration of nginx/ before three instances, with one worker, no limits and no log."""
        addresses = [f"127.0.0.1:{self[name].port}" for name in INSTANCES]
        command = [str(ROOT / "nginx" / "local.sh"), str(port), str(folder), *addresses]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        text = re.sub(r"(?m)^( *)limit_req zone.*$|^( *)limit_conn subscribers.*$", "", text)
        text = re.sub(r"access_log .*;", "access_log off;", text)
        return text.replace("worker_processes auto", "daemon off; worker_processes 1")
