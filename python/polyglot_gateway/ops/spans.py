"""Spans of OpenTelemetry, sent to a collector over OTLP/HTTP. Needs the extra `otel`.

Where they are sent, which are taken, how many wait: all of that the SDK reads from its own variables (OTEL_*).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from polyglot_gateway.errors import GatewayError, SettingsError

FLUSH_SECONDS = 2.0
"""How long the end waits for what has not been sent yet."""

SILENT_SECONDS = 60.0
"""So long OpenTelemetry does not say the same again: it would with every batch that a collector does not take."""

_PREFIX = "polyglot."
_W3C = TraceContextTextMapPropagator()


class Spans:
    """Makes the spans of one process and sends them, in a thread that nobody waits for.

    To be made after the last fork, and where gevent patches the process, after that: the thread is a greenlet then.

    Attributes:
        tracer: Begins spans.
    """

    def __init__(self, service: str, version: str) -> None:
        """Begin; nothing is connected yet.

        Args:
            service: What the process is, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say so.
            version: Of it.

        Raises:
            SettingsError: A variable of OpenTelemetry's has a value that it does not take.
        """
        _log_seldom()
        try:
            from opentelemetry import propagate  # noqa: PLC0415  # it fails here for wrong OTEL_PROPAGATORS

            self._propagate = propagate
            self._provider = TracerProvider(resource=_resource(service, version), shutdown_on_exit=False)
            self._most_links = SpanLimits().max_links  # what is beyond would be read in vain
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        except Exception as error:  # it has no classes for this
            why = str(error).rstrip(".")
            raise SettingsError(f"traces: OpenTelemetry does not start: {why}; look at the variables OTEL_*") from error
        self.tracer = self._provider.get_tracer("polyglot_gateway", version)

    @contextlib.contextmanager
    def observe(self, name: str, facts: Mapping[str, str | int], traceparents: Iterable[str]) -> Iterator[_Call]:
        """As `calls.Observe`: a span of kind CLIENT, linked to the traces of the events."""
        with self._span(name, SpanKind.CLIENT, Context(), facts, traceparents) as call:
            yield call

    @contextlib.contextmanager
    def serve(
        self, name: str, headers: Mapping[str, str], facts: Mapping[str, str | int], traceparents: Iterable[str]
    ) -> Iterator[_Call]:
        """As `calls.Serve`: a span of kind SERVER, child of the caller's and linked to the traces of the events."""
        parent = self._propagate.extract(headers, Context())
        with self._span(name, SpanKind.SERVER, parent, facts, traceparents) as call:
            yield call

    def close(self) -> None:
        """Send what has not been sent yet, for FLUSH_SECONDS at most. Idempotent."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)

    @contextlib.contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        parent: Context,
        facts: Mapping[str, str | int],
        traceparents: Iterable[str],
    ) -> Iterator[_Call]:
        span = self.tracer.start_span(name, parent, kind, _attributes(facts), self._links(traceparents))
        headers: dict[str, str] = {}
        self._propagate.inject(headers, set_span_in_context(span, Context()))
        call = _Call(span, headers)
        try:
            yield call
        except BaseException as error:
            if isinstance(error, GatewayError):
                call.failed(error.code, error.message)
            else:  # what it says may have data of an event in it
                call.failed(type(error).__qualname__, "")
            raise
        finally:
            span.end()

    def _links(self, traceparents: Iterable[str]) -> list[Link]:
        given = itertools.islice(filter(None, dict.fromkeys(traceparents)), self._most_links)
        contexts = (
            get_current_span(_W3C.extract({"traceparent": traceparent}, Context())).get_span_context()
            for traceparent in given
        )
        return [Link(context) for context in contexts if context.is_valid]


class _Call:
    """Fulfils `Call` by a span."""

    def __init__(self, span: Span, headers: dict[str, str]) -> None:
        self._span = span
        self.headers = headers

    def tell(self, **facts: int) -> None:
        self._span.set_attributes(_attributes(facts))

    def failed(self, code: str, why: str) -> None:
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR, why))


def _attributes(facts: Mapping[str, str | int]) -> dict[str, str | int]:
    """Names without a dot are our own; those with one are of OpenTelemetry's semantic conventions."""
    return {name if "." in name else _PREFIX + name: value for name, value in facts.items()}


def _resource(service: str, version: str) -> Resource:
    found = Resource.create()
    if not str(found.attributes["service.name"]).startswith("unknown_service"):
        return found
    return found.merge(Resource({"service.name": service, "service.version": version}))


def _log_seldom() -> None:
    logger = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _Seldom) for handler in logger.handlers):
        logger.addHandler(_Seldom())
        logger.propagate = False


class _Seldom(logging.Handler):
    """Hands on to the log what was not said lately."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = (record.name, str(record.msg)), time.monotonic()
        if now >= self._said.get(kind, 0.0):
            self._said[kind] = now + SILENT_SECONDS
            record.exc_info = None  # a traceback through the SDK says nothing more
            logging.getLogger().handle(record)
