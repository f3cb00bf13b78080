"""What tests of several parts stand on: a real engine in a folder of its own."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine

HISTORY_SIZE = 50


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what was started run in one process: those of a server, and those of a file."""
    for item in items:
        server = item.callspec.params.get("server_name") if hasattr(item, "callspec") else None
        item.add_marker(pytest.mark.xdist_group(server or item.nodeid.partition("::")[0]))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def access() -> _core.Access:
    """The app `demo` with the keys full-key, reader-key and writer-key, and the app `other`."""
    access = _core.Access()
    access.add_key("demo", _digest("full-key"), ["publish", "history", "subscribe", "admin", "presence"])
    access.add_key("demo", _digest("reader-key"), ["history", "subscribe"])
    access.add_key("demo", _digest("writer-key"), ["publish"])
    access.add_key("other", _digest("other-key"), ["publish", "history", "subscribe", "admin"])
    return access


@pytest.fixture
def rules() -> _core.Rules:
    """In `demo`, `public:*` can be read by all and `small:*` takes 128 bytes."""
    rules = _core.Rules(_core.ChannelRule(history_size=HISTORY_SIZE))
    rules.add("demo", "public:*", _core.ChannelRule(history_size=HISTORY_SIZE, public_read=True))
    rules.add("demo", "small:*", _core.ChannelRule(history_size=HISTORY_SIZE, max_event_bytes=128))
    return rules


@pytest.fixture
def engine(tmp_path: Path, access: _core.Access, rules: _core.Rules) -> Iterator[EmbeddedEngine]:
    """A small engine over a new folder; a channel keeps its newest 50 events."""
    engine = EmbeddedEngine(
        str(tmp_path / "data"),
        history_size=HISTORY_SIZE,
        history_bytes=1 << 20,
        max_channels=100,
        idempotency_keys=1000,
    )
    engine.configure(access, rules)
    yield engine
    engine.close()
