"""The processor over gRPC: one server in each worker, all on one port. Needs the extra `grpc`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from polyglot_gateway.errors import ProcessorUnavailable, RequestError
from polyglot_gateway.processor.base import MOST_BYTES
from polyglot_gateway.processor.grpc_wire import read_events, write_verdicts
from polyglot_gateway.processor.problems import PROBLEMS
from polyglot_gateway.processor.proto import processor_pb2, processor_pb2_grpc
from polyglot_gateway.processor.service import MOST_CALLS, Service

MOST_WAITING = 256
"""Calls that a worker keeps until one of MOST_CALLS ends, or their deadline comes: with those, what a dozen workers of
gateways have under way at most, should all be connected to this one. A further one is refused."""

MOST_STREAMS = 16
"""That a worker has at once; each holds a thread as long as it is open."""

# The rest is for health and reflection, which answer under any load.
_THREADS = MOST_CALLS + MOST_WAITING + MOST_STREAMS + 8

NAME = processor_pb2.DESCRIPTOR.services_by_name["Processor"].full_name

_log = structlog.get_logger("polyglot_gateway.processor")


class GrpcServer:
    """Serves from `start` to `stop`; to be made after the fork."""

    def __init__(self, service: Service, address: str) -> None:
        """Listen on `address`, which other workers may share.

        Raises:
            RuntimeError: It cannot be had.
        """
        self._processor = _Processor(service)
        self._health = _Health()
        self._health.set(NAME, health_pb2.HealthCheckResponse.SERVING)
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, "grpc"),
            options=[("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", MOST_BYTES)],
        )
        processor_pb2_grpc.add_ProcessorServicer_to_server(self._processor, self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([NAME, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        self.port = self._server.add_insecure_port(address)

    def start(self) -> None:
        """Take calls."""
        self._server.start()

    def stop(self, seconds: float) -> threading.Event:
        """Say NOT_SERVING, take no more calls, and cut after `seconds` what is still under way.

        Returns at once what is set when all is over.
        """
        self._health.end()
        self._processor.end_streams()
        return self._server.stop(seconds)


def _headers(context: grpc.ServicerContext) -> dict[str, str]:
    return {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}


class _Health(health.HealthServicer):
    """Health, whose watchers hold up no end."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers: set[Callable[[health_pb2.HealthCheckResponse | None], None]] = set()

    def Watch(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.ServicerContext,
        send_response_callback: Callable[[health_pb2.HealthCheckResponse | None], None] | None = None,
    ) -> Any:
        if send_response_callback is not None:
            self._watchers.add(send_response_callback)
            context.add_callback(lambda: self._watchers.discard(send_response_callback))
        return super().Watch(request, context, send_response_callback)

    def end(self) -> None:
        """Say NOT_SERVING from now on, and to watchers as the last thing that they hear."""
        self.enter_graceful_shutdown()
        for send in tuple(self._watchers):
            send(None)


class _Processor(processor_pb2_grpc.ProcessorServicer):
    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._waiting: set[grpc.ServicerContext] = set()
        self._calls = threading.BoundedSemaphore(MOST_CALLS + MOST_WAITING)
        self._streams = threading.BoundedSemaphore(MOST_STREAMS)
        self._running = threading.BoundedSemaphore(MOST_CALLS)
        self._ending = False

    def Process(self, request: processor_pb2.Event, context: grpc.ServicerContext) -> processor_pb2.Verdict:
        return self._call([request], context).verdicts[0]

    def ProcessBatch(self, request: processor_pb2.Events, context: grpc.ServicerContext) -> processor_pb2.Verdicts:
        return self._call(request.events, context)

    def ProcessStream(
        self, requests: Iterator[processor_pb2.Events], context: grpc.ServicerContext
    ) -> Iterator[processor_pb2.Verdicts]:
        with self._place(self._streams, context):
            while (request := self._next(requests, context)) is not None:
                yield self._verdicts(request.events, context)

    def end_streams(self) -> None:
        """End the streams on which nothing is under way now, and each other one after its next answer."""
        with self._lock:
            self._ending = True
            for context in self._waiting:
                context.cancel()

    def _call(self, messages: Iterable[processor_pb2.Event], context: grpc.ServicerContext) -> processor_pb2.Verdicts:
        with self._place(self._calls, context):
            if not self._running.acquire(timeout=min(context.time_remaining(), threading.TIMEOUT_MAX)):
                context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "The time was over before its turn came.")
            try:
                if not context.is_active():
                    context.abort(grpc.StatusCode.CANCELLED, "The caller went away before its turn came.")
                return self._verdicts(messages, context)
            finally:
                self._running.release()

    @contextlib.contextmanager
    def _place(self, places: threading.Semaphore, context: grpc.ServicerContext) -> Iterator[None]:
        if not places.acquire(blocking=False):
            self._refuse(
                context,
                "overloaded",
                f"A worker has {MOST_CALLS + MOST_WAITING} calls and {MOST_STREAMS} streams at once, at most.",
            )
        try:
            yield
        finally:
            places.release()

    def _next(
        self, requests: Iterator[processor_pb2.Events], context: grpc.ServicerContext
    ) -> processor_pb2.Events | None:
        with self._lock:
            if self._ending:
                return None
            self._waiting.add(context)
        try:
            return next(requests, None)
        finally:
            with self._lock:
                self._waiting.discard(context)

    def _verdicts(
        self, messages: Iterable[processor_pb2.Event], context: grpc.ServicerContext
    ) -> processor_pb2.Verdicts:
        events = read_events(messages)
        try:
            verdicts = self._service.process(events, "grpc", lambda: _headers(context))
        except RequestError as error:
            self._refuse(context, error.code, error.message)
        except ProcessorUnavailable as error:
            self._refuse(context, "processor_failed", error.message)
        except Exception as error:
            _log.error("unexpected error", exc_info=error)
            self._refuse(context, "internal_error", "The processor failed in a way that was not foreseen.")
        return write_verdicts(events, verdicts)

    def _refuse(self, context: grpc.ServicerContext, code: str, message: str) -> NoReturn:
        self._service.meters.failed(code)
        context.abort(grpc.StatusCode[PROBLEMS[code].grpc_status], f"{code}: {message}")
