import contextlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from tests.peers import event

from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.ops.health import Health
from polyglot_gateway.processor.base import UNBROKEN
from polyglot_gateway.processor.open import open_processor


def health(engine: EmbeddedEngine, breaker: Callable[[], dict[str, Any]] = UNBROKEN.copy) -> Health:
    return Health(engine, engine.ready, version="1.2.3", environment="prod", engine="embedded", breaker=breaker)


def test_all_is_well(engine: EmbeddedEngine) -> None:
    report = health(engine).report()
    assert report.pop("uptime_seconds") >= 0
    assert report == {
        "status": "ok",
        "reasons": [],
        "version": "1.2.3",
        "env": "prod",
        "worker": os.getpid(),
        "engine": {"name": "embedded", "segment": engine.segment(), "notices": []},
        "processor": {"name": "embedded", "state": "closed", "endpoints": []},
    }


def test_it_says_how_full_the_segment_is(engine: EmbeddedEngine) -> None:
    before = health(engine).report()["engine"]["segment"]["channels"]
    engine.publish("demo", "room", b'{"type":"t","data":1}')
    assert health(engine).report()["engine"]["segment"]["channels"] == before + 1


def test_a_closed_engine_is_reported_not_raised(engine: EmbeddedEngine) -> None:
    engine.close()
    report = health(engine).report()
    assert report["status"] == "degraded"
    assert len(report["reasons"]) == 1
    assert report["engine"]["segment"] is None


def test_it_says_how_the_processor_is(engine: EmbeddedEngine) -> None:
    with contextlib.closing(open_processor("http", ["http://me:secret@127.0.0.1:1"], breaker_failures=1)) as processor:
        with pytest.raises(ProcessorUnavailable):
            processor.process([event()])
        told = health(engine, processor.breaker).report()["processor"]
    (endpoint,) = told.pop("endpoints")
    assert told == {"name": "http", "state": "open"}
    assert "cannot be reached" in endpoint.pop("last_error")
    assert endpoint == {"endpoint": "http://127.0.0.1:1", "protocol": "http", "state": "open"}
