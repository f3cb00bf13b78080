"""One native worker in the test's own process, made and run as gunicorn's master does after the fork."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
import structlog
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.sock import create_sockets
from tests.raw_http import Answer, RawConnection

from polyglot_gateway.app import Application, create_app
from polyglot_gateway.server.hooks import HELD_BACK
from polyglot_gateway.server.worker import BOOT_ERROR, NativeWorker
from polyglot_gateway.settings import Settings

PATIENCE = 20.0
GET = b"GET /mine HTTP/1.1\r\nHost: a\r\n\r\n"


def held_back() -> set[signal.Signals]:
    return set(HELD_BACK) & signal.pthread_sigmask(signal.SIG_BLOCK, ())


class Mine:
    """A route that shows the WSGI environment."""

    def on_get(self, req: Any, resp: Any) -> None:
        shown = ("wsgi.url_scheme", "REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME", "wsgi.multiprocess")
        resp.media = {name: req.env[name] for name in shown}


@pytest.fixture
def create(load: Callable[..., Settings]) -> Iterator[Callable[..., Application]]:
    """Creates the gateway with these settings and a route that is not its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    created: list[Application] = []

    def create(**settings: Any) -> Application:
        created.append(create_app(load(history_bytes=1 << 20, max_channels=100, idempotency_keys=100, **settings)))
        created[-1].falcon.add_route("/mine", Mine())
        return created[-1]

    yield create
    for application in created:
        application.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def application(create: Callable[..., Application]) -> Application:
    return create()


class Running:
    """A worker, its listening socket, and once it is started the greenlet that it serves in."""

    def __init__(self, application: Any, **options: Any) -> None:
        config = Config()
        for name, value in {"bind": "127.0.0.1:0", "graceful_timeout": 5, **options}.items():
            config.set(name, value)
        log = Logger(config)
        self.sockets = create_sockets(config, log)
        # What gunicorn calls its application is what makes ours.
        maker = SimpleNamespace(wsgi=lambda: application)
        self.worker = NativeWorker(1, os.getppid(), self.sockets, maker, 30, config, log)
        name = self.sockets[0].getsockname()
        self.address: int | str = name if isinstance(name, str) else name[1]
        self.greenlet = gevent.Greenlet(self._run)

    def _run(self) -> None:
        self.worker.load_wsgi()
        self.worker.run()

    def start(self) -> "Running":
        self.greenlet.start()
        return self

    def connect(self) -> RawConnection:
        return RawConnection(self.address)

    def get(self, fields: bytes = b"") -> Answer:
        """The answer to a request of its own, asked by a thread while gevent's loop goes on."""

        def ask() -> Answer:
            with self.connect() as connection:
                return connection.send(GET.replace(b"Host: a\r\n", b"Host: a\r\n" + fields)).answer()

        return gevent.get_hub().threadpool.apply(ask)

    def stop(self) -> None:
        if self.greenlet.started:
            self.worker.handle_exit(signal.SIGTERM, None)
            self.greenlet.join(PATIENCE)
        for each in self.sockets:
            each.close()
        self.worker.tmp.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Running]]:
    """Makes a worker for an application, as the master does before it forks; stopped at the end of the test."""
    made: list[Running] = []

    def make(application: Any, **options: Any) -> Running:
        made.append(Running(application, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


@pytest.fixture
def run(make: Callable[..., Running], application: Application) -> Callable[..., Running]:
    """Starts a worker with these options of gunicorn's."""
    return lambda **options: make(application, **options).start()


def test_the_application_gets_what_a_request_is_about(run: Callable[..., Running]) -> None:
    running = run()
    assert running.get().json() == {
        "wsgi.url_scheme": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(running.address),
        "SCRIPT_NAME": "",
        "wsgi.multiprocess": False,
    }


@pytest.mark.parametrize(
    ("trusted", "said", "scheme"),
    [
        ("127.0.0.1", b"https", "https"),
        ("10.0.0.1, 127.0.0.0/8", b"https", "https"),
        ("10.0.0.1", b"https", "http"),
        ("127.0.0.1", b"http", "http"),
        ("127.0.0.1", b"file", "http"),
    ],
)
def test_https_is_believed_of_trusted_proxies(
    make: Callable[..., Running], create: Callable[..., Application], trusted: str, said: bytes, scheme: str
) -> None:
    running = make(create(trusted_proxies=trusted)).start()
    assert running.get(b"X-Forwarded-Proto: %s\r\n" % said).json()["wsgi.url_scheme"] == scheme
    assert running.get().json()["wsgi.url_scheme"] == "http"


def test_https_is_believed_of_who_comes_by_a_unix_socket(
    make: Callable[..., Running], create: Callable[..., Application], tmp_path: Path
) -> None:
    path = os.path.relpath(tmp_path / "s")  # an absolute one may be too long for a socket's name
    running = make(create(trusted_proxies="10.0.0.1"), bind=f"unix:{path}").start()
    answer = running.get(b"X-Forwarded-Proto: https\r\n").json()
    assert (answer["wsgi.url_scheme"], answer["REMOTE_ADDR"], answer["SERVER_NAME"]) == ("https", "", "localhost")


def test_a_stop_waits_for_clients_no_longer_than_the_graceful_timeout(run: Callable[..., Running]) -> None:
    running = run(graceful_timeout=1)
    with running.connect() as connection:
        gevent.get_hub().threadpool.apply(lambda: connection.send(GET).answer())
        began = time.monotonic()
        running.stop()
        assert running.greenlet.successful()
        assert 0.5 < time.monotonic() - began < 5
        assert connection.is_closed()


def test_a_stop_without_clients_is_quick(run: Callable[..., Running], application: Application) -> None:
    running = run(graceful_timeout=30)
    running.get()
    began = time.monotonic()
    running.stop()
    assert running.greenlet.successful()
    assert time.monotonic() - began < 3
    assert application.hub.draining


def test_enough_requests_end_the_worker(run: Callable[..., Running]) -> None:
    running = run(max_requests=3)
    for _ in range(3):
        running.get()
    running.greenlet.join(PATIENCE)
    assert running.greenlet.successful()


def test_the_master_sees_signs_of_life_while_python_blocks(run: Callable[..., Running]) -> None:
    running = run()
    running.get()
    os.utime(running.worker.tmp.fileno(), (0, 0))
    deadline = time.monotonic() + PATIENCE
    while running.worker.tmp.last_update() == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # blocks gevent's loop


def test_signals_are_held_back_from_before_the_fork_until_the_worker_runs(
    make: Callable[..., Running], application: Application
) -> None:
    running = make(application)
    assert held_back() == HELD_BACK
    running.start().get()
    assert held_back() == set()


def test_the_master_hears_signals_again_after_the_fork(make: Callable[..., Running], application: Application) -> None:
    make(application)
    pid = os.fork()
    if pid == 0:
        os._exit(len(held_back()))
    assert held_back() == set()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == len(HELD_BACK)


def test_another_application_stops_the_master(make: Callable[..., Running], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        make(lambda *_: []).worker.load_wsgi()
    assert ended.value.code == BOOT_ERROR == Arbiter.WORKER_BOOT_ERROR
    assert capsys.readouterr().err == "polyglot: NativeWorker serves polyglot_gateway.app:create_app(), nothing else\n"


def test_a_certificate_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    config = Config()
    log = Logger(config)
    NativeWorker.check_config(config, log)
    config.set("certfile", "cert.pem")
    with pytest.raises(SystemExit) as ended:
        NativeWorker.check_config(config, log)
    assert ended.value.code == 1
    assert "polyglot: NativeWorker has no TLS" in capsys.readouterr().err
