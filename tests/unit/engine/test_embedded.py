from pathlib import Path

import pytest

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import EngineUnavailable, Forbidden, StorageError, Unauthorized

EVENT = b'{"type":"t","data":1}'


def test_what_was_published_outlives_the_engine(tmp_path: Path) -> None:
    first = EmbeddedEngine(str(tmp_path), history_bytes=1 << 20, max_channels=10, idempotency_keys=10)
    ack = first.publish("demo", "room", EVENT)
    first.close()
    second = EmbeddedEngine(str(tmp_path), history_bytes=1 << 20, max_channels=10, idempotency_keys=10)
    page = second.read("demo", "room", 0)
    assert (page.epoch, [offset for offset, _ in page.events]) == (ack.epoch, [1])
    second.close()


def test_it_decides_who_may_do_what(engine: EmbeddedEngine) -> None:
    engine.authorize("demo", "room", "full-key", "publish")
    with pytest.raises(Unauthorized):
        engine.authorize("demo", "room", "wrong", "publish")
    with pytest.raises(Forbidden):
        engine.authorize("demo", "room", "reader-key", "publish")
    engine.configure(_core.Access(), _core.Rules(_core.ChannelRule(max_event_bytes=99)))
    with pytest.raises(Unauthorized):
        engine.authorize("demo", "room", "full-key", "publish")
    assert engine.max_event_bytes("demo", "room") == 99


def test_it_is_ready_until_it_is_closed(engine: EmbeddedEngine) -> None:
    assert engine.ready() == []
    engine.close()
    engine.close()
    assert len(engine.ready()) == 1
    with pytest.raises(EngineUnavailable):
        engine.publish("demo", "room", EVENT)


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        EmbeddedEngine(str(tmp_path / "file" / "data"))
