"""The servers, as `polyglot serve` runs them: the same apps, keys and rules, and a data folder each.

The native one also with its events in Redis, where each has a prefix of its own, and both with a processor that
changes nothing.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.raw_http import RawConnection
from tests.redis_server import RedisServer
from tests.serving import Gateway, free_port

SERVERS = ("wsgi", "native", "native-redis", "native-processor", "wsgi-processor")
SECRET = "the secret that signs the tokens of the tests, long enough for any algorithm"

KEYS = {
    "demo": {
        "full-key": ["publish", "history", "subscribe", "admin"],
        "reader-key": ["history", "subscribe"],
        "writer-key": ["publish"],
        "ключ": ["publish"],
    },
    "rated": {"rated-key": ["publish", "history", "subscribe"]},
    "crowd": {"crowd-key": ["publish", "history", "subscribe"]},
    "free": {"free-key": ["publish", "history", "subscribe"]},
    "narrow": {"narrow-key": ["publish", "history", "subscribe"]},
    "other": {"other-key": ["publish", "history", "subscribe", "admin"]},
}

PROCESSOR = """
from polyglot_gateway.processor.base import replace

def process(events):
    return [replace(event.data) for event in events]
"""
CONFIG = """
cors_origins = ["https://app.example", "http://localhost:3000"]
trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]
max_batch_bytes = 8192
history_size = 200

[apps.demo]
rules = [
  { channels = "public:*", public_read = true },
  { channels = "small:*", max_event_bytes = 128 },
  { channels = "short:*", history_size = 3 },
]

[apps.rated.limits]
events_per_second = 1
events_burst = 60
bytes_per_second = 100_000

[apps.crowd.limits]
connections = 3
subscriptions = 2

[apps.narrow.limits]
channels = 2
"""


def _config() -> str:
    blocks = [
        f'[[apps.{app}.keys]]\nname = "{number}"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
        f"scopes = {scopes}\n"
        for app, keys in KEYS.items()
        for number, (key, scopes) in enumerate(keys.items())
    ]
    return CONFIG + "\n".join(blocks)


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], contextlib.AbstractContextManager[Gateway]]:
    """Runs the server of that name, with two workers."""

    @contextlib.contextmanager
    def run(name: str) -> Iterator[Gateway]:
        folder: Path = tmp_path_factory.mktemp(name)
        (folder / "polyglot.toml").write_text(_config())
        environment = {"POLYGLOT_ENV": "prod", "JWT_SECRET": SECRET}
        server, _, beyond = name.partition("-")
        if beyond == "processor":
            (folder / "accepts.py").write_text(PROCESSOR)
            environment["PROCESSOR_FUNCTION"] = "accepts:process"
        if beyond == "redis":
            redis: RedisServer = request.getfixturevalue("redis")
            environment |= {"REDIS_URL": redis.url, "REDIS_PREFIX": folder.name}
        gateway = Gateway(folder, free_port(), ("--workers", "2", "--server", server), environment)
        try:
            yield gateway.wait_until_ready()
        finally:
            gateway.kill_everything()
            shutil.rmtree(folder / "data", ignore_errors=True)  # megabytes

    return run


@pytest.fixture(scope="session", params=SERVERS)
def server_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def server(running: Callable[[str], contextlib.AbstractContextManager[Gateway]], server_name: str) -> Iterator[Gateway]:
    """Each of the servers in turn."""
    with running(server_name) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def reference(
    running: Callable[[str], contextlib.AbstractContextManager[Gateway]], server_name: str
) -> Iterator[Gateway]:
    """The WSGI server, with which each is compared; with itself too, which shows that the comparison is fair.

    One for each, because what it answers depends on what it was asked before.
    """
    assert server_name
    with running("wsgi") as gateway:
        yield gateway


@pytest.fixture
def connect(server: Gateway) -> Iterator[Callable[[], RawConnection]]:
    """Opens a connection to the server; it is closed at the end of the test."""
    opened: list[RawConnection] = []

    def open_one() -> RawConnection:
        opened.append(RawConnection(server.port))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def raw(connect: Callable[[], RawConnection]) -> RawConnection:
    return connect()
