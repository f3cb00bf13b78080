"""Has a processor judge events that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from polyglot_gateway import _core
from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import Event, Verdict

_log = structlog.get_logger("polyglot_gateway.processor")


def judge(process: Callable[[Sequence[Event]], list[Verdict]], call: _core.ProcessCall) -> None:
    """Give the call the verdicts of `process`, or have it fail; by any way out, it has come to its end."""
    try:
        events = call.events()
        call.judge(process(events) if events else [])
    except ProcessorUnavailable as error:
        call.fail(error.code, error.message)
    except Exception as error:
        _log.error("processing failed", exc_info=error)
        call.fail("internal_error", "Processing failed; the gateway's log says why.")
    except BaseException:  # of a greenlet that is ended, or a time limit of somebody else's
        call.fail(ProcessorUnavailable.code, "Processing was broken off.")
        raise
