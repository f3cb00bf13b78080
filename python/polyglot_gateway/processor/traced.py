"""An endpoint each of whose batches is observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from polyglot_gateway.calls import Observe
from polyglot_gateway.processor.base import Event, Verdict, verdict_counts
from polyglot_gateway.processor.endpoint import NO_HEADERS, Endpoint


class TracedEndpoint:
    """Fulfils `Endpoint` by another one. What is sent to it goes on with the trace."""

    def __init__(self, endpoint: Endpoint, observe: Observe) -> None:
        """Ask `endpoint`, and have `observe` watch."""
        self._endpoint = endpoint
        self._observe = observe
        self.name = endpoint.name
        self.protocol = endpoint.protocol
        self.close = endpoint.close
        where = urlsplit(endpoint.name)
        self._facts: dict[str, str | int] = {"endpoint": endpoint.name, "protocol": endpoint.protocol}
        self._facts["server.address"] = where.hostname or ""
        if where.port:
            self._facts["server.port"] = where.port

    def ask(self, events: Sequence[Event], seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> list[Verdict]:
        """See `Endpoint`."""
        facts = {**self._facts, "events": len(events)}
        with self._observe("process batch", facts, (event.traceparent for event in events)) as call:
            verdicts = self._endpoint.ask(events, seconds, {**headers, **call.headers})
            call.tell(**verdict_counts(verdicts))
            return verdicts


_: type[Endpoint] = TracedEndpoint
