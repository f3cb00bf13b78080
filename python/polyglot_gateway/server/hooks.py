"""What gunicorn's processes do besides serving.

The master says that it listens. A worker drains on SIGTERM, reads the channel rules again on SIGHUP, and lets go of the
history at its end.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, cast

import gevent

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.ops.logs import tell_held_back
from polyglot_gateway.ops.vitals import SECONDS

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

    from polyglot_gateway.app import Application

HELD_BACK = frozenset({signal.SIGHUP, signal.SIGTERM})
"""Blocked from before the fork until the worker can handle them, so that none is lost while it starts."""


def listening(master: Arbiter) -> None:
    """Say where, and which process takes signals, whatever the log level is; start.sh waits for this line."""
    where = ", ".join(map(str, master.LISTENERS))
    line = f"polyglot: serving at {where} with {master.num_workers} workers; the master is pid {master.pid}\n"
    with contextlib.suppress(OSError):  # a full disk, say; and by the descriptor, as nothing is left in a buffer then
        os.write(1, line.encode())


def started(worker: Worker) -> None:
    """Install the worker's signal handlers, once the application is loaded and before the first connection is taken.

    They run in greenlets, so they may wait and log; a plain signal handler could interrupt any line of Python.
    """
    application = cast("Application", worker.wsgi)

    def stop() -> None:
        # Answers from now on say that their connection closes. Those that promised to keep it still hold.
        worker.handle_exit(signal.SIGTERM, None)
        application.drain()

    def reload() -> None:
        try:
            application.reload()
        except SettingsError as error:
            worker.log.error("Worker %s keeps the old rules: %s", worker.pid, error)

    application.count_start()
    gevent.spawn(_tell, application)
    gevent.signal_handler(signal.SIGTERM, stop)
    gevent.signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


def _tell(application: Application) -> None:
    """What is said once a second, for as long as the worker lives."""
    while True:
        application.tell()
        tell_held_back()
        gevent.sleep(SECONDS)


def exiting(_: Arbiter, worker: Worker) -> None:
    """Let go of the shared history. gunicorn calls this in the master too, for a worker that never loaded it."""
    application: Application | None = getattr(worker, "wsgi", None)
    if application is not None:
        application.close()
