"""A real server over gRPC that answers what a test wants."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from polyglot_gateway.processor.proto import processor_pb2 as pb

Answer = Callable[[bytes, grpc.ServicerContext], bytes]
"""What a call is answered."""


class Handler(grpc.GenericRpcHandler):
    """Takes ProcessBatch.

    Attributes:
        calls: The metadata of each.
        port: Where it is.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []
        self.port = 0

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """See grpc.GenericRpcHandler."""
        assert call.method == "/polyglot.processor.v1.Processor/ProcessBatch"
        self.calls.append(dict(call.invocation_metadata))
        return grpc.unary_unary_rpc_method_handler(self.answer)


@contextlib.contextmanager
def service(answer: Answer, port: int = 0, **options: Any) -> Iterator[Handler]:
    """A server as long as the context lasts; `options` are those of grpc.server."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)], **options)
    handler = Handler(answer)
    server.add_generic_rpc_handlers((handler,))
    handler.port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield handler
    finally:
        server.stop(None).wait()


def hang(_: bytes, context: grpc.ServicerContext) -> bytes:
    """Answer nothing as long as somebody waits for it."""
    left = threading.Event()
    if context.add_callback(left.set):
        left.wait()
    return b""


def accept_all(request: bytes, _: object) -> bytes:
    """Accept each event."""
    events = pb.Events.FromString(request).events
    return pb.Verdicts(verdicts=[pb.Verdict(id=one.id, kind=pb.Verdict.ACCEPT) for one in events]).SerializeToString()
