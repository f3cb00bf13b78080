"""Logs: our own and those of gunicorn and gevent, all in one form on standard error."""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

from polyglot_gateway.ops.log_handler import LogHandler

_OWN_HANDLERS = ("gunicorn.error", "gunicorn.access")


def reserve_standard_descriptors() -> None:
    """Open /dev/null where standard input, output or error is closed.

    Else the next file that is opened would get its number, and what is written there by habit would end up in that.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def set_log_level(level: str) -> None:
    """Log from `level` on, from now on."""
    logging.getLogger().setLevel(level.upper())
    for name in _OWN_HANDLERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


def tell_held_back() -> None:
    """Say how many lines were held back; to be called once a second."""
    for handler in _handlers():
        handler.tell_held_back()


def _handlers() -> list[LogHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, LogHandler)]


def configure_logs(level: str, form: Literal["console", "json"]) -> None:
    """Log from `level` on, to standard error. May be called again; the last call holds.

    Args:
        level: debug, info, warning or error.
        form: `console` for people; `json` for machines, one object a line.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor]
    # Without the values of variables, which structlog would show: keys and tokens are among them.
    if form == "json":
        tracebacks = structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        )
        last = [tracebacks, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.RichTracebackFormatter(show_locals=False)
        colors = sys.stderr is not None and sys.stderr.isatty()
        last = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    handler = LogHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for former in _handlers():
        former.close()
    root.handlers[:] = [handler]
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    set_log_level(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
