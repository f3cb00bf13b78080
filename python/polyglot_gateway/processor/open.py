"""Makes the processor that the settings ask for, when it is in other processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from polyglot_gateway.calls import Observe
from polyglot_gateway.processor.address import Address, parse_address, why_not_together
from polyglot_gateway.processor.breaker import Breaker
from polyglot_gateway.processor.endpoint import Endpoint
from polyglot_gateway.processor.grpc_extra import require_grpc
from polyglot_gateway.processor.http import HttpEndpoint
from polyglot_gateway.processor.remote import Instance, RemoteProcessor, Way
from polyglot_gateway.processor.traced import TracedEndpoint


def open_processor(
    kind: Literal["http", "grpc"],
    urls: Sequence[str],
    *,
    grpc_port: int = 9090,
    pool_size: int = 20,
    timeout: float = 5.0,
    breaker: bool = True,
    breaker_failures: int = 5,
    breaker_seconds: float = 30.0,
    observe: Observe | None = None,
) -> RemoteProcessor:
    """Return the processor at these URLs; nothing is connected yet. To be called by the process that uses it.

    Args:
        kind: `grpc` asks by gRPC first, and by HTTP what gRPC does not reach.
        urls: Of the instances, for HTTP; a user and password in one are sent along (Basic, both ways).
        grpc_port: Where gRPC is, on the hosts of `urls`; without TLS.
        pool_size: Batches on their way to each endpoint, at most; by HTTP, each has a connection.
        timeout: Seconds that `process` may take, over all that it tries.
        breaker: Whether an endpoint that keeps failing is left alone for a while.
        breaker_failures: So many in a row.
        breaker_seconds: For so long.
        observe: Watches each batch that is sent.

    Raises:
        ValueError: An argument is not one that it can be.
        SettingsError: gRPC is not installed.
    """
    addresses = [parse_address(url) for url in urls]
    _refuse("kind must be http or grpc", kind not in ("http", "grpc"))
    _refuse("there must be at least one URL of a processor", not addresses)
    if reason := why_not_together(kind, addresses):
        raise ValueError(reason)
    _refuse("pool_size must be at least 1", pool_size < 1)
    _refuse("timeout must be more than 0 seconds", not 0 < timeout < math.inf)
    _refuse("breaker_failures must be at least 1", breaker_failures < 1)
    _refuse("breaker_seconds must be more than 0", not 0 < breaker_seconds < math.inf)
    if kind == "grpc":
        _refuse("grpc_port must be a port, 1 to 65535", not 1 <= grpc_port <= 65535)

    def way(endpoint: Endpoint) -> Way:
        if observe is not None:
            endpoint = TracedEndpoint(endpoint, observe)
        return Way(endpoint, Breaker(breaker_failures, breaker_seconds, enabled=breaker), pool_size)

    def instance(address: Address) -> Instance:
        by_http = way(HttpEndpoint(address, pool_size))
        return Instance(way(_grpc(address, grpc_port, timeout)), by_http) if kind == "grpc" else Instance(by_http)

    return RemoteProcessor(kind, [instance(address) for address in addresses], timeout)


def _grpc(address: Address, port: int, timeout: float) -> Endpoint:
    require_grpc("processor")
    from polyglot_gateway.processor.grpc import GrpcEndpoint  # noqa: PLC0415

    return GrpcEndpoint(address, port, connect_seconds=timeout / 2)


def _refuse(message: str, condition: bool) -> None:
    if condition:
        raise ValueError(message)
