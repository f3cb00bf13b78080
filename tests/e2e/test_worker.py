"""The native worker under gunicorn's master: started both ways, stopped, reloaded, replaced, blocked and killed."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.processes import connections, serving_workers, wait_for_rest
from tests.raw_http import RawConnection
from tests.serving import POLYGLOT, Gateway, free_port, serve_command, wait_until

WORKER = "polyglot_gateway.server.worker.NativeWorker"
OURS = "polyglot_gateway.app:create_app()"
EVENT = b'{"type":"message","data":1}'
PUBLISH = (
    b"POST /apps/demo/channels/room:1/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_demo\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)
)

# The gateway with two routes of its user's.
EXTENDED = """
import pathlib
import time

import gevent

from polyglot_gateway.app import create_app as create_gateway


class Slow:
    def on_get(self, req, resp):
        pathlib.Path("begun").touch()
        gevent.sleep(2)
        resp.text = "slow"


class Blocking:
    def on_get(self, req, resp):
        pathlib.Path("begun").touch()
        until = time.monotonic() + 5
        while time.monotonic() < until:
            pass
        resp.text = "blocked"


def create_app():
    application = create_gateway()
    application.falcon.add_route("/slow", Slow())
    application.falcon.add_route("/blocking", Blocking())
    return application
"""


def gunicorn(bind: str, application: str = OURS) -> tuple[str, ...]:
    return (sys.executable, "-m", "gunicorn", "--no-control-socket", "-k", WORKER, "-b", bind, application)


Start = Callable[..., Gateway]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway by a command and what its log says then; killed at the end of the test."""
    started: list[Gateway] = []

    def start(command: tuple[str, ...], said: str, *arguments: str, port: int) -> Gateway:
        started.append(Gateway(tmp_path, port, arguments, {}, command, said))
        return started[-1]

    yield start
    for gateway in started:
        gateway.kill_everything()


@pytest.fixture(params=["polyglot", "gunicorn"])
def start(request: pytest.FixtureRequest, run: Start) -> Start:
    """Starts the native server in each of the two ways, with two workers unless told otherwise."""

    def start(*arguments: str) -> Gateway:
        port = free_port()
        if request.param == "polyglot":
            command, said = (*serve_command(port), "--server", "native"), "polyglot: serving"
        else:
            command, said = gunicorn(f"127.0.0.1:{port}"), "Listening at"
        return run(command, said, "--workers", "2", *arguments, port=port).wait_until_ready()

    return start


@pytest.fixture
def start_extended(run: Start, tmp_path: Path) -> Start:
    """Starts gunicorn with an application that has more routes."""

    def start(*arguments: str) -> Gateway:
        (tmp_path / "extended.py").write_text(EXTENDED)
        port = free_port()
        command = gunicorn(f"127.0.0.1:{port}", "extended:create_app()")
        return run(command, "Listening at", *arguments, port=port).wait_until_ready()

    return start


class Load(threading.Thread):
    """Publishes without a pause, on a connection that it replaces only when the server says that it will close it."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.offsets: list[int] = []
        self.failures: list[object] = []
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                with RawConnection(self.port) as connection:
                    self._publish_on(connection)
            except Exception as error:
                self.failures.append(error)
                return

    def _publish_on(self, connection: RawConnection) -> None:
        while not self._ended.is_set():
            answer = connection.send(PUBLISH).answer()
            if answer.status != 200:
                self.failures.append(answer)
                return
            self.offsets.append(answer.json()["offset"])
            if answer.field("connection") == "close":
                return

    def end(self) -> None:
        self._ended.set()
        self.join()


@contextlib.contextmanager
def load(gateway: Gateway, clients: int = 4) -> Iterator[list[Load]]:
    """Several clients that publish; at the end all have been answered, and every offset was given once."""
    loads = [Load(gateway.port) for _ in range(clients)]
    for each in loads:
        each.start()
    try:
        yield loads
    finally:
        for each in loads:
            each.end()
    assert [each.failures for each in loads] == [[]] * clients
    offsets = sorted(offset for each in loads for offset in each.offsets)
    assert offsets == list(range(1, len(offsets) + 1))


def progress(loads: list[Load], more: int) -> None:
    """Wait until each client has had so many more answers."""
    before = [len(each.offsets) for each in loads]
    wait_until(
        lambda: all(
            len(each.offsets) >= count + more or each.failures for each, count in zip(loads, before, strict=True)
        ),
        "the load to go on",
    )


@pytest.mark.parametrize("way", ["polyglot", "gunicorn"])
def test_a_unix_socket(run: Start, tmp_path: Path, way: str) -> None:
    bind = "unix:gateway.sock"
    command = (*POLYGLOT, "serve", "--server", "native", "--bind", bind) if way == "polyglot" else gunicorn(bind)
    gateway = run(command, "", "--workers", "2", port=0)
    path = os.path.relpath(tmp_path / "gateway.sock")  # an absolute one may be too long for a socket's name

    def publish() -> int | None:
        assert gateway.process.poll() is None, gateway.log.read_text()
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), RawConnection(path) as connection:
            return connection.send(PUBLISH).answer().status
        return None

    assert wait_until(publish, "the socket") == 200
    with RawConnection(path) as connection:
        forwarded = PUBLISH.replace(b"Host: a\r\n", b"Host: a\r\nX-Forwarded-For: 203.0.113.7\r\n")
        connection.send(forwarded).answer()
        connection.send(b"GET /apps/demo/channels/room:1/history HTTP/1.1\r\nHost: a\r\n\r\n")
        sources = [event["meta"]["source_ip"] for event in connection.answer().json()["events"]]
    assert sources[-1] == "203.0.113.7"
    assert gateway.stop() == 0


def test_all_workers_take_connections_of_one_listener(start: Start) -> None:
    gateway = start()
    workers = serving_workers(gateway)
    for worker in workers:
        wait_for_rest(worker)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawConnection(gateway.port)) for _ in range(200)]
        for client in clients:
            client.send(PUBLISH)
        offsets = [client.answer().json()["offset"] for client in clients]
        taken = [connections(pid) for pid in workers]
    assert sorted(offsets) == list(range(1, 201))
    assert min(taken) > 0, taken
    assert sum(taken) == 200


def test_a_killed_worker_is_replaced(start: Start) -> None:
    gateway = start()
    before = serving_workers(gateway)
    gateway.publish("room:1", "kept")
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(set(gateway.workers()) - set(before)) == 1, "a new worker")
    assert gateway.history("room:1")["events"][0]["data"] == "kept"
    assert gateway.publish("room:1", "next")["offset"] == 2


def test_an_idle_server_stops_at_once(start: Start) -> None:
    gateway = start()
    serving_workers(gateway)
    began = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began < 5


def test_sighup_under_load_fails_no_request(start: Start) -> None:
    """`polyglot serve` reads the rules again; gunicorn's own master replaces its workers."""
    gateway = start()
    serving_workers(gateway)
    with load(gateway) as loads:
        for _ in range(3):
            progress(loads, 50)
            gateway.process.send_signal(signal.SIGHUP)
            progress(loads, 50)
        serving_workers(gateway)
        progress(loads, 50)


def test_workers_that_gunicorn_replaces_are_new_ones(run: Start) -> None:
    port = free_port()
    gateway = run(gunicorn(f"127.0.0.1:{port}"), "Listening at", "--workers", "2", port=port).wait_until_ready()
    before = serving_workers(gateway)
    with load(gateway) as loads:
        progress(loads, 10)
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(gateway.workers()) == 2 and not set(gateway.workers()) & set(before), "new workers")
        progress(loads, 10)


def test_max_requests_replaces_workers_without_a_failed_request(run: Start) -> None:
    port = free_port()
    arguments = ("--workers", "2", "--max-requests", "300", "--max-requests-jitter", "50")
    gateway = run(gunicorn(f"127.0.0.1:{port}"), "Listening at", *arguments, port=port).wait_until_ready()
    before = set(serving_workers(gateway))
    with load(gateway) as loads:
        seen = set(before)
        wait_until(
            lambda: seen.update(gateway.workers()) or len(seen - before) >= 3 or any(each.failures for each in loads),
            "new workers",
        )
    assert len(seen - before) >= 3


def test_sigterm_lets_a_slow_request_of_the_application_finish(start_extended: Start, tmp_path: Path) -> None:
    gateway = start_extended("--workers", "1")
    with RawConnection(gateway.port) as connection:
        connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until((tmp_path / "begun").exists, "the request to be under way")
        gateway.process.send_signal(signal.SIGTERM)
        answer = connection.answer()
        assert (answer.status, answer.body) == (200, b"slow")
        assert answer.field("connection") == "close"
        assert connection.is_closed()
    assert gateway.process.wait(20) == 0


def test_python_that_blocks_stops_nothing_that_is_served_without_it(start_extended: Start, tmp_path: Path) -> None:
    gateway = start_extended("--workers", "1", "--timeout", "2")
    (worker,) = wait_until(gateway.workers, "the worker")
    with RawConnection(gateway.port) as blocked, RawConnection(gateway.port) as free:
        blocked.send(b"GET /blocking HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until((tmp_path / "begun").exists, "the request to be under way")
        began, served = time.monotonic(), 0
        while time.monotonic() - began < 4:
            assert free.send(PUBLISH).answer().status == 200
            served += 1
        assert served > 1000  # a single request that waited for Python would take seconds
        assert blocked.answer().body == b"blocked"
    assert gateway.workers() == [worker]
    assert json.loads(gateway.request("GET", "/apps/demo/channels/room:1").body)["last_offset"] == served


def ends(folder: Path, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a server that has a reason not to start."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=False)


def test_a_certificate_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    command = (*gunicorn(f"127.0.0.1:{free_port()}"), "--certfile", "cert.pem", "--keyfile", "key.pem")
    ended = ends(tmp_path, command)
    assert ended.returncode != 0
    assert re.search(r"polyglot: .*TLS.*certfile", ended.stderr), ended.stderr


def test_another_application_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("def app(environ, start_response):\n    return []\n")
    ended = ends(tmp_path, gunicorn(f"127.0.0.1:{free_port()}", "other:app"))
    assert ended.returncode != 0
    assert "polyglot: " in ended.stderr
    assert "create_app()" in ended.stderr
