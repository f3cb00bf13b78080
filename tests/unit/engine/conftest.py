from collections.abc import Iterator
from pathlib import Path

import pytest
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
