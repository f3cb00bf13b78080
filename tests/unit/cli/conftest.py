"""A gateway within the test's own process, and the command line as a user types it."""

import os
import socket
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from polyglot_gateway.app import create_app
from polyglot_gateway.cli import app
from polyglot_gateway.errors import GatewayError
from polyglot_gateway.settings import load_settings


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class ThreadingServer(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    block_on_close = False


class InProcessGateway:
    """Serves on a port of its own, and on the same one after a restart."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        self.application = create_app(load_settings(history_bytes=1 << 20, max_channels=100, log_level="error"))
        self.server = wsgiref.simple_server.make_server(
            "127.0.0.1", self.port, self.application, ThreadingServer, Handler
        )
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.application.drain()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.application.close()


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("POLYGLOT_", "HISTORY_", "MAX_")) or name in ("PORT", "BIND", "WORKERS", "DATA_DIR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def in_process_gateway(clean_place: None) -> Iterator[InProcessGateway]:
    gateway = InProcessGateway()
    yield gateway
    gateway.stop()


@pytest.fixture
def url(in_process_gateway: InProcessGateway) -> str:
    return f"http://127.0.0.1:{in_process_gateway.port}"


@pytest.fixture
def polyglot() -> Callable[..., Result]:
    """Runs a command; what main() would print for an error of ours is in the result's exception."""

    def run(*arguments: str, stdin: str | None = None, fails: type[GatewayError] | None = None) -> Result:
        result = CliRunner().invoke(app, arguments, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            assert fails is not None, result.exception
            assert isinstance(result.exception, fails)
        return result

    return run


@pytest.fixture
def free_bind() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"
