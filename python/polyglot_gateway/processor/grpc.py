"""The processor over gRPC: ProcessBatch of processor.proto."""

from __future__ import annotations

import functools
import itertools
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import grpc
import grpc.experimental.gevent
from gevent import monkey

from polyglot_gateway._core import read_verdicts, write_events
from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.address import Address
from polyglot_gateway.processor.base import MOST_BYTES, Event, Verdict
from polyglot_gateway.processor.endpoint import NO_HEADERS, Busy, Unreached, closed, late, verdicts_on
from polyglot_gateway.processor.proto.processor_pb2 import DESCRIPTOR
from polyglot_gateway.processor.wire import Answer

_CONNECTIONS = 4
"""The workers of a service share its port, and a connection stays with one of them."""

# How gRPC begins to say that it has no connection. Should it say so in other words one day, a batch goes nowhere else.
_NO_CONNECTION = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")
# How a service does that refuses more calls at once, before it looks at one.
_BUSY = ("Concurrent RPC limit exceeded", "overloaded: ")


class GrpcEndpoint:
    """One host and port of the processor tier. Fulfils `WiredEndpoint`.

    A few connections carry all batches. What gRPC knows that the service has refused unseen, as when it says
    GOAWAY, gRPC itself sends on a new connection; nothing else is sent twice.

    In a process that gevent has patched, gRPC waits in gevent's way from the first endpoint on, and only the greenlet
    that asks waits. No endpoint may be made before the last fork.
    """

    protocol: Literal["http", "grpc"] = "grpc"
    path = f"/{DESCRIPTOR.services_by_name['Processor'].full_name}/ProcessBatch"

    def __init__(self, address: Address, port: int, *, connect_seconds: float) -> None:
        """Prepare it; nothing is connected before it is asked.

        Args:
            address: Of the host; a user and password in it are sent along.
            port: Where gRPC is on it.
            connect_seconds: An attempt to connect takes that long, at most.
        """
        if monkey.is_module_patched("threading"):
            _wait_as_gevent_does()
        target = address.with_port(port)
        self.name = f"grpc://{target}"
        self.authority = target
        self.authorization = address.authorization
        self._place = (address.host, port)
        self._metadata = (("authorization", address.authorization),) if address.authorization else ()
        options = _options(connect_seconds)
        self._channels = [grpc.insecure_channel(f"dns:///{target}", options) for _ in range(_CONNECTIONS)]
        # Bytes there and back: the core knows these two messages, in a small part of the time of what is generated.
        calls: list[Callable[..., bytes]] = [channel.unary_unary(self.path) for channel in self._channels]
        self._next_call = itertools.cycle(calls)

    def ask(self, events: Sequence[Event], seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> list[Verdict]:
        """As `Endpoint` has it; Unreached or ProcessorUnavailable."""
        batch = write_events(events)
        try:
            answer = next(self._next_call)(batch, timeout=seconds, metadata=(*self._metadata, *headers.items()))
        except grpc.RpcError as error:
            raise self._unavailable(*_status_of(error), seconds) from error
        except ValueError as error:  # the channels are closed
            raise closed(self.name) from error
        return verdicts_on(events, self.name, read_verdicts, answer)

    def connect(self, seconds: float) -> socket.socket:
        """As `WiredEndpoint` has it."""
        connection = socket.create_connection(self._place, seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def settle(self, events: Sequence[Event], answer: Answer, seconds: float) -> list[Verdict]:
        """As `WiredEndpoint` has it."""
        if answer.status == 0:
            return verdicts_on(events, self.name, read_verdicts, answer.text)
        code = _status(answer.status)
        # Of other statuses gRPC's own words count, and here all words are the service's.
        details = answer.text.decode("latin-1") if code is grpc.StatusCode.RESOURCE_EXHAUSTED else ""
        raise self._unavailable(code, details, seconds)

    def close(self) -> None:
        """Close its connections. Idempotent."""
        for channel in self._channels:
            channel.close()

    def _unavailable(self, code: grpc.StatusCode, details: str, seconds: float) -> ProcessorUnavailable:
        # Never with the details that the service gave: data of an event may be in them.
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ProcessorUnavailable(late(self.name, seconds))
        if code is grpc.StatusCode.UNAVAILABLE and details.startswith(_NO_CONNECTION):
            why = details.rpartition(": ")[2].rstrip("]. ")
            return Unreached(f"The processor at {self.name} cannot be reached: {why}.")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and details.startswith(_BUSY):
            return Busy(f"The processor at {self.name} is overloaded.")
        return ProcessorUnavailable(f"The processor at {self.name} broke off or refused, with the status {code.name}.")


def _status_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    assert isinstance(error, grpc.Call)
    return error.code(), error.details() or ""


def _status(number: int) -> grpc.StatusCode:
    return next((code for code in grpc.StatusCode if code.value[0] == number), grpc.StatusCode.UNKNOWN)


@functools.cache
def _wait_as_gevent_does() -> None:
    grpc.experimental.gevent.init_gevent()


def _options(connect_seconds: float) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", MOST_BYTES),
        # The breaker says when to try again; then gRPC must not be waiting for a time of its own.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.min_reconnect_backoff_ms", max(int(connect_seconds * 1000), 1)),  # limits an attempt to connect
        # A connection on which nothing comes any more is given up while batches wait for it.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        # What else could decide where a batch goes, or how often.
        ("grpc.enable_http_proxy", 0),
        ("grpc.service_config_disable_resolution", 1),
        # Channels of one process to one address share their connections otherwise, also those of closed endpoints.
        ("grpc.use_local_subchannel_pool", 1),
    ]
