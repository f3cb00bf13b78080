"""`polyglot processor`: run a function over events, for gateways elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from polyglot_gateway.errors import SettingsError

if TYPE_CHECKING:
    from polyglot_gateway.ops.spans import Spans


def processor(
    function: Annotated[
        str | None,
        typer.Option(help="module:function that gets events and gives verdicts.", show_default="accepts all"),
    ] = None,
    http: Annotated[int, typer.Option(help="Port for HTTP, 0 for none.", min=0, max=65535)] = 8080,
    grpc: Annotated[int, typer.Option(help="Port for gRPC, 0 for none.", min=0, max=65535)] = 9090,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes.", min=1, max=64, show_default="number of CPUs")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    traces: Annotated[
        str, typer.Option(envvar="TRACES", help="off, or otlp: spans go to OpenTelemetry's collector.")
    ] = "off",
) -> None:
    """Process events for gateways until told to stop: SIGTERM drains."""
    from polyglot_gateway.ops.logs import configure_logs
    from polyglot_gateway.processor.service_master import Options, serve
    from polyglot_gateway.server.address import PATIENCE_SECONDS, why_not_free
    from polyglot_gateway.server.logger import Logger
    from polyglot_gateway.settings_traces import missing_otel

    if traces not in ("off", "otlp"):
        raise SettingsError(f"traces: {traces!r}: must be off or otlp")
    if traces == "otlp" and (missing := missing_otel("traces")):
        raise SettingsError(missing[0])
    if http == grpc:
        raise SettingsError(f"http, grpc: both are {http}; give each a port of its own, or 0 to one of them")
    name = f"[{host}]" if ":" in host else host
    addresses = {"http": f"{name}:{http}" if http else None, "grpc": f"{name}:{grpc}" if grpc else None}
    for option, address in addresses.items():
        if address and (reason := why_not_free(address, PATIENCE_SECONDS)):
            raise SettingsError(f"{option}: cannot listen on {address}: {reason}; choose another with --{option}")
    configure_logs("info", "console")
    workers = workers or min(len(os.sched_getaffinity(0)), 64)
    open_spans = _open_spans if traces == "otlp" else None
    serve(Options(function, addresses["http"], addresses["grpc"], workers, Logger, open_spans))


def _open_spans() -> Spans:
    from polyglot_gateway import _core
    from polyglot_gateway.ops.spans import Spans

    return Spans("polyglot-processor", _core.__version__)
