from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.mirrors import Worker
from tests.redis_server import RedisServer

from polyglot_gateway.engine.redis_link import RedisLink


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--save", "", "--appendonly", "no")
    yield server
    server.close()


@pytest.fixture
def link(redis: RedisServer) -> Iterator[RedisLink]:
    link = RedisLink(redis.url)
    yield link
    link.close()


@pytest.fixture
def hire(redis: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers: of `host`, whose data folder they share."""
    with ExitStack() as stack:

        def start(host: str = "here", **sizes: int) -> Worker:
            worker = Worker(redis.url, tmp_path / host, **sizes)
            stack.callback(worker.close)
            return worker

        yield start


@pytest.fixture
def worker(hire: Callable[..., Worker]) -> Worker:
    return hire()


@pytest.fixture
def publisher(hire: Callable[..., Worker]) -> Worker:
    """Of another host."""
    return hire("elsewhere")
