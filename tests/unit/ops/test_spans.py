"""Spans, taken by a real collector."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.collector import Collector, Span, traces_to

from polyglot_gateway.errors import EngineUnavailable, SettingsError
from polyglot_gateway.ops.spans import Spans

FIRST, SECOND = "1" * 32, "2" * 32


def traceparent(trace: str) -> str:
    return f"00-{trace}-00f067aa0ba902b7-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        yield collector


def sent(spans: Spans, collector: Collector) -> Span:
    """The only span that there was."""
    spans.close()
    (span,) = collector.spans
    return span


def test_a_call_is_linked_to_each_trace_once(collector):
    spans = Spans("here", "1.2")
    given = [traceparent(FIRST), "", "nonsense", traceparent(SECOND), traceparent(FIRST)]
    with spans.observe("call", {"events": 3, "db.system.name": "redis"}, given) as call:
        call.tell(accepted=2)
    span = sent(spans, collector)
    assert (span.service, span.name, span.kind, span.parent) == ("here", "call", "CLIENT", "")
    assert span.links == [FIRST, SECOND]
    assert span.attributes == {"polyglot.events": 3, "db.system.name": "redis", "polyglot.accepted": 2}
    assert not span.error


def test_of_many_traces_the_first_are_linked(collector, monkeypatch):
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "2")
    spans = Spans("here", "1.2")
    with spans.observe("call", {}, [traceparent(trace) for trace in (FIRST, SECOND, "3" * 32)]):
        pass
    assert sent(spans, collector).links == [FIRST, SECOND]


def test_what_is_called_can_go_on_with_the_trace(collector):
    spans = Spans("here", "1.2")
    with spans.observe("call", {}, []) as call:
        headers = dict(call.headers)
    span = sent(spans, collector)
    assert set(headers) == {"traceparent"}
    assert headers["traceparent"].startswith(f"00-{span.trace}-{span.id}-0")


def test_what_serves_goes_on_with_the_callers(collector):
    spans = Spans("here", "1.2")
    with spans.serve("serve", {"traceparent": traceparent(FIRST)}, {}, [traceparent(SECOND)]):
        pass
    span = sent(spans, collector)
    assert (span.kind, span.trace, span.parent, span.links) == ("SERVER", FIRST, "00f067aa0ba902b7", [SECOND])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineUnavailable("Redis does not answer."), "engine_unavailable"),
        (ValueError("secret"), "ValueError"),
        (SystemExit(), "SystemExit"),
    ],
)
def test_what_is_raised_is_an_error_and_goes_on(collector, error, code):
    spans = Spans("here", "1.2")
    with pytest.raises(type(error)), spans.observe("call", {}, []):
        raise error
    span = sent(spans, collector)
    assert (span.error, span.attributes["error.type"]) == (True, code)
    assert "secret" not in str(span)


def test_the_environment_names_the_service(collector, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "rooms")
    spans = Spans("here", "1.2")
    with spans.observe("call", {}, []):
        pass
    assert sent(spans, collector).service == "rooms"


def test_to_close_it_again_is_nothing(collector):
    spans = Spans("here", "1.2")
    spans.close()
    spans.close()
    with spans.observe("call", {}, []):
        pass
    assert not collector.spans


def test_a_wrong_variable_is_a_wrong_setting(monkeypatch):
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "many")
    with pytest.raises(SettingsError, match=r"^traces: OpenTelemetry does not start: .*many; look at"):
        Spans("here", "1.2")


def test_the_end_does_not_wait_for_a_collector_that_is_silent(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for name, value in traces_to(f"http://127.0.0.1:{listener.getsockname()[1]}").items():
            monkeypatch.setenv(name, value)
        spans = Spans("here", "1.2")
        with spans.observe("call", {}, []):
            pass
        began = time.monotonic()
        spans.close()
        assert time.monotonic() - began < 4


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def log():
    handler, root = Kept(), logging.getLogger()
    level = root.level  # as another test has left it
    root.setLevel(logging.WARNING)
    root.addHandler(handler)
    yield handler.records
    root.removeHandler(handler)
    root.setLevel(level)


def test_what_opentelemetry_says_it_says_once_a_minute(collector, log):
    Spans("here", "1.2").close()
    Spans("here", "1.2").close()
    logger = logging.getLogger("opentelemetry.test")
    with suppress(ValueError):
        raise ValueError
    for number in range(3):
        logger.warning("lost %d", number, exc_info=True)
    logger.warning("something else")
    said = [(record.getMessage(), record.exc_info) for record in log if record.name == logger.name]
    assert said == [("lost 0", None), ("something else", None)]
