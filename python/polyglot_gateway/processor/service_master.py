"""The processes of `polyglot processor`: gunicorn's master and workers, each worker with HTTP, gRPC or both."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from polyglot_gateway.arbiter import HaltingArbiter
from polyglot_gateway.calls import Serve
from polyglot_gateway.errors import GatewayError, SettingsError
from polyglot_gateway.loading import load_function
from polyglot_gateway.processor.grpc_extra import require_grpc
from polyglot_gateway.processor.meters import Meters
from polyglot_gateway.processor.rollups import Rollups
from polyglot_gateway.processor.service import MOST_CALLS, Service, accept_all
from polyglot_gateway.processor.service_http import WsgiApp, create_app

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker

    from polyglot_gateway.processor.service_grpc import GrpcServer

KEEPALIVE_SECONDS = 75
"""Longer than clients keep an idle connection, so that it is they who close it and never in the middle of a request."""

GRACEFUL_SECONDS = 30
"""How long SIGTERM waits for what is under way."""

_GRPC_SECONDS = GRACEFUL_SECONDS - 2  # before the master kills the worker, so that callers are told


class Options(NamedTuple):
    """How to serve."""

    function: str | None
    """module:function; None accepts all."""
    http: str | None
    """host:port, or None for no HTTP."""
    grpc: str | None
    """host:port, or None for no gRPC."""
    workers: int
    logger: type
    """gunicorn's logger class."""
    open_spans: Callable[[], Spans] | None = None
    """Called in each worker, after the fork; None makes no spans."""


class Spans(Protocol):
    """Where the spans of a worker come from (ops/spans.py)."""

    @property
    def serve(self) -> Serve:
        """Watches how a batch is served."""

    def close(self) -> None:
        """Send what has not been sent yet."""


class ProcessorServer(BaseApplication):
    """gunicorn's view of the processor.

    The function is imported by each worker after the fork, so that its module may start threads and open connections.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._meters = Meters()
        self._rollups = Rollups()
        self._service: Service
        self._grpc: GrpcServer | None = None
        self._spans: Spans | None = None
        super().__init__()

    def load_config(self) -> None:
        """Fill in gunicorn's configuration; called by its constructor."""
        options = {
            "bind": [self._options.http] if self._options.http else [],
            "workers": self._options.workers,
            "worker_class": "gthread",
            "threads": MOST_CALLS,
            "keepalive": KEEPALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "logger_class": self._options.logger,
            "accesslog": None,
            "preload_app": False,
            # Its path is one per user, so a gateway beside would lose it.
            "control_socket_disable": True,
            "when_ready": self._listening,
            "post_worker_init": self._started,
            "worker_exit": self._exiting,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> WsgiApp:  # type: ignore[override]  # Falcon's type is one of those that gunicorn takes
        """Make the application; called once in each worker. Ends the server when that fails."""
        try:
            function = load_function("function", self._options.function) if self._options.function else accept_all
            self._spans = self._options.open_spans() if self._options.open_spans else None
        except GatewayError as error:
            _end_boot(error.message)
        serve = self._spans.serve if self._spans else None
        self._service = Service(function, self._meters, self._rollups, serve)
        return create_app(self._service)

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or SIGQUIT; ends by SystemExit."""
        HaltingArbiter(self).run()

    def _listening(self, master: Arbiter) -> None:
        where = [f"http://{self._options.http}"] if self._options.http else []
        where += [f"grpc://{self._options.grpc}"] if self._options.grpc else []
        print(
            f"polyglot: processing at {' and '.join(where)} with {self._options.workers} workers; "
            f"the master is pid {master.pid}",
            flush=True,
        )

    def _started(self, worker: Worker) -> None:
        if self._options.grpc:
            # grpc has threads, which must not be there before a fork.
            from polyglot_gateway.processor.service_grpc import GrpcServer  # noqa: PLC0415

            try:
                self._grpc = GrpcServer(self._service, self._options.grpc)
                self._grpc.start()
            except RuntimeError as error:
                _end_boot(f"grpc: cannot listen on {self._options.grpc}: {error}")

        def drain(*_: object) -> None:
            self._service.draining = True
            if self._grpc:
                # In a thread: a signal handler may have interrupted whoever has the locks that this needs.
                threading.Thread(target=self._grpc.stop, args=(_GRPC_SECONDS,)).start()
            worker.handle_exit(signal.SIGTERM, None)

        signal.signal(signal.SIGTERM, drain)
        worker.log.info("Worker %s is ready", worker.pid)

    def _exiting(self, _: Arbiter, worker: Worker) -> None:
        if self._grpc:
            self._grpc.stop(_GRPC_SECONDS if self._service.draining else 0).wait()
        if self._spans:
            self._spans.close()


def _end_boot(message: str) -> None:
    print(f"polyglot: {message}", file=sys.stderr, flush=True)
    sys.exit(Arbiter.WORKER_BOOT_ERROR)


def _check(function: str | None, grpc: bool) -> None:
    if function:
        load_function("function", function)
    if grpc:
        require_grpc("grpc")


def serve(options: Options) -> None:
    """Serve; ends by SystemExit.

    Raises:
        SettingsError: The function or what gRPC needs cannot be imported.
    """
    # In a process of its own: what this imports must not be in a master that forks.
    with ProcessPoolExecutor(1, get_context("fork")) as checker:
        try:
            checker.submit(_check, options.function, options.grpc is not None).result()
        except BrokenProcessPool:
            raise SettingsError(f"function: {options.function!r}: importing it ended the process") from None
    ProcessorServer(options).run()
