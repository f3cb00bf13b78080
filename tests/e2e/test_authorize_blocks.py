"""An authorize hook that blocks all of Python: what C++ serves goes on, and the worker is not taken for dead."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.followers import KINDS
from tests.serving import Gateway, free_port
from tests.websocket import WebSocket

HOOK = """
import pathlib

from gevent import monkey

sleep = monkey.get_original("time", "sleep")  # the other one lets the rest of Python go on


def authorize(request):
    if request.channel == "room:slow":
        pathlib.Path("begun").touch()
        sleep({seconds})
"""
GUNICORN = (sys.executable, "-m", "gunicorn", "--no-control-socket", "-k")
WORKER = "polyglot_gateway.server.worker.NativeWorker"


@pytest.fixture(params=[5, pytest.param(30, marks=pytest.mark.slow)])
def seconds(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def gateway(tmp_path: Path, seconds: int) -> Iterator[Gateway]:
    """One worker under gunicorn's own master, which kills what shows no life for two seconds."""
    (tmp_path / "hook.py").write_text(HOOK.format(seconds=seconds))
    port = free_port()
    command = (*GUNICORN, WORKER, "-b", f"127.0.0.1:{port}", "polyglot_gateway.app:create_app()")
    arguments = ("--workers", "1", "--timeout", "2")
    gateway = Gateway(tmp_path, port, arguments, {"AUTHORIZE": "hook:authorize"}, command, "Listening at")
    yield gateway.wait_until_ready()
    gateway.kill_everything()


def test_a_hook_that_blocks_stops_nothing_that_is_joined(gateway: Gateway, tmp_path: Path, seconds: int) -> None:
    workers = gateway.workers()
    followers = [kind(gateway.port, "room:1", since=0).follow() for kind in KINDS]
    with WebSocket(gateway.port, patience=2 * seconds) as blocked, WebSocket(gateway.port) as publisher:
        publisher.join("room:1")
        published = 0
        asked = blocked.ask_to_join("room:slow")
        began, longest = time.monotonic(), 0.0
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < began + 5
        began = time.monotonic()
        while (now := time.monotonic()) - began < seconds - 0.5:
            offset = publisher.publish("room:1", "on and on")["offset"]
            published += 1
            for follower in followers:
                while follower.place.offset < offset:
                    assert not follower.failure
                    time.sleep(0.0005)
            longest = max(longest, time.monotonic() - now)
        assert longest < 1.0, "something waited for Python"
        assert blocked.reply(asked)[0] == "ok"
        assert time.monotonic() - began >= seconds - 0.5
        for follower in followers:
            follower.stop()
            assert len(follower.place.data) == published > 100
    assert gateway.workers() == workers, gateway.log.read_text()
