"""The processor in this process: a plain function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import structlog

from polyglot_gateway._core import check_json
from polyglot_gateway.errors import InvalidJson, ProcessorUnavailable
from polyglot_gateway.processor.base import UNBROKEN, Event, Function, Verdict, reject

_log = structlog.get_logger("polyglot_gateway.processor")


class EmbeddedProcessor:
    """Calls a function where it is, and holds it to the contract (processor/base.py).

    A time limit cannot be kept here: `process` takes as long as the function does, and so does the greenlet or thread
    that called it. Thread safety: as the function's.
    """

    wire = None

    def __init__(self, function: Function) -> None:
        self._function = function

    def process(self, events: Sequence[Event]) -> list[Verdict]:
        """Return one verdict for each event, in order; data that is not strict JSON makes it a rejection.

        Raises:
            ProcessorUnavailable: The function raised, or gave what are no verdicts on these events; the log says more.
        """
        try:
            verdicts = list(self._function(tuple(events)))
        except (Exception, SystemExit) as error:  # it does not end the process of its caller
            _fail(f"it raised {type(error).__name__}", error)
        if len(verdicts) != len(events):
            _fail(f"it gave {len(verdicts)} verdicts on {len(events)} events")
        for event, verdict in zip(events, verdicts, strict=True):
            if wrong := _what_is_wrong(verdict):
                _fail(f"its verdict on {event.id} {wrong}")
        return [_with_json(event, verdict) for event, verdict in zip(events, verdicts, strict=True)]

    def ready(self) -> list[str]:
        """Nothing is ever in the way."""
        return []

    def breaker(self) -> dict[str, Any]:
        """There is none."""
        return dict(UNBROKEN)

    def close(self) -> None:
        """Nothing is held."""


def _fail(reason: str, error: BaseException | None = None) -> NoReturn:
    _log.error("the processor's function failed", reason=reason, exc_info=error)
    raise ProcessorUnavailable(f"The function of the processor tier failed: {reason}.") from error


def _with_json(event: Event, verdict: Verdict) -> Verdict:
    if verdict.kind == "replace":
        try:
            check_json(verdict.data)
        except InvalidJson as error:
            reason = f"The data that the processor gave is not strict JSON: {error.message}"
            _log.error("the processor's function gave data that is not JSON", event_id=event.id, reason=error.message)
            return reject(reason)
    return verdict


def _what_is_wrong(verdict: object) -> str | None:
    if not isinstance(verdict, Verdict):
        return f"is of type {type(verdict).__name__}, not Verdict"
    if verdict.kind == "replace":
        if not isinstance(verdict.data, bytes):
            return f"has data of type {type(verdict.data).__name__}, not bytes"
    elif verdict.kind == "reject":
        if not _is_text(verdict.reason):
            return "has a reason that is no text"
    elif verdict.kind != "accept":
        return f"is {verdict.kind!r}; it must be accept, replace or reject"
    return None


def _is_text(value: object) -> bool:
    """Whether it is a string that UTF-8 can have: no half of a surrogate pair in it."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False
