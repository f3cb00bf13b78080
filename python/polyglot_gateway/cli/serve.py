"""`polyglot serve`: run the gateway."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    bind: Annotated[
        str | None,
        typer.Option(
            help="host:port or unix:path to listen on.", show_default="127.0.0.1:4000 in dev, 0.0.0.0:4000 in prod"
        ),
    ] = None,
    polyglot_config: Annotated[
        str | None, typer.Option("--config", help="The toml file.", show_default="polyglot.toml")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes, 1 to 64.", show_default="number of CPUs")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder of the history file.", show_default="data")] = None,
    polyglot_env: Annotated[str | None, typer.Option("--env", help="dev or prod.", show_default="dev")] = None,
    server: Annotated[str | None, typer.Option(help="native or wsgi.", show_default="native")] = None,
    redis_host: Annotated[
        str | None, typer.Option(help="The Redis that keeps the events; none does by default.")
    ] = None,
    redis_port: Annotated[int | None, typer.Option(help="Its port.", show_default="6379")] = None,
    redis_prefix: Annotated[
        str | None, typer.Option(help="Before the name of every key in Redis.", show_default="polyglot")
    ] = None,
    redis_ttl: Annotated[
        int | None, typer.Option(help="Seconds that a channel stays in Redis.", show_default="604800")
    ] = None,
    on_engine_down: Annotated[
        str | None, typer.Option(help="While Redis does not answer, events fail or spool.", show_default="fail")
    ] = None,
    spool_bytes: Annotated[
        int | None, typer.Option(help="Bytes that wait for Redis, of each worker.", show_default="67108864")
    ] = None,
    use_grpc: Annotated[bool | None, typer.Option(help="Ask the processor at PROCESSOR_URL by gRPC.")] = None,
    processor: Annotated[
        str | None,
        typer.Option(help="embedded, http or grpc.", show_default="http with PROCESSOR_URL, embedded without"),
    ] = None,
    processor_function: Annotated[
        str | None, typer.Option(help="module:function, called with events before they are kept.")
    ] = None,
    processor_grpc_port: Annotated[int | None, typer.Option(help="Its port for gRPC.", show_default="9090")] = None,
    processor_pool_size: Annotated[
        int | None, typer.Option(help="Batches on their way to each endpoint.", show_default="20")
    ] = None,
    processor_timeout: Annotated[
        float | None, typer.Option(help="Seconds that the processor may take.", show_default="5")
    ] = None,
    use_circuit_breaker: Annotated[
        bool | None, typer.Option(help="Leave a processor that keeps failing alone for a while.", show_default="True")
    ] = None,
    history_size: Annotated[int | None, typer.Option(help="Events kept per channel.", show_default="1000")] = None,
    history_ttl: Annotated[
        float | None, typer.Option(help="Seconds that events are kept, 0 for no limit.", show_default="0")
    ] = None,
    history_bytes: Annotated[
        int | None, typer.Option(help="Bytes of the log all channels share.", show_default="134217728")
    ] = None,
    max_channels: Annotated[int | None, typer.Option(help="Channels with history.", show_default="10000")] = None,
    max_event_bytes: Annotated[int | None, typer.Option(help="Largest publish body.", show_default="65536")] = None,
    max_batch_bytes: Annotated[
        int | None, typer.Option(help="Largest batch or broadcast body.", show_default="1048576")
    ] = None,
    idempotency_keys: Annotated[
        int | None, typer.Option(help="Idempotency keys remembered.", show_default="65536")
    ] = None,
    durability: Annotated[str | None, typer.Option(help="process, interval or sync.", show_default="process")] = None,
    cors_origins: Annotated[str | None, typer.Option(help="Origins that browsers may call from, by comma.")] = None,
    trusted_proxies: Annotated[
        str | None, typer.Option(help="Whose X-Forwarded-For is believed, by comma.", show_default="127.0.0.1,::1")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.", show_default="info")] = None,
    log_format: Annotated[
        str | None, typer.Option(help="console or json.", show_default="console in dev, json in prod")
    ] = None,
    traces: Annotated[
        str | None, typer.Option(help="off, or otlp: spans go to OpenTelemetry's collector.", show_default="off")
    ] = None,
    graceful_timeout: Annotated[
        int | None, typer.Option(help="Seconds that SIGTERM waits for requests.", show_default="30")
    ] = None,
    jwt_jwks: Annotated[
        str | None, typer.Option(help="File or URL of the key set that bearer tokens are checked with.")
    ] = None,
    jwt_issuer: Annotated[str | None, typer.Option(help="Whose tokens are taken: their claim iss.")] = None,
    jwt_audience: Annotated[str | None, typer.Option(help="For whom tokens have to be: their claim aud.")] = None,
    authorize: Annotated[
        str | None, typer.Option(help="module:function, asked before key and token of each request.")
    ] = None,
    console: Annotated[
        bool | None, typer.Option(help="Serve the page at /console.", show_default="True in dev, False in prod")
    ] = None,
) -> None:
    """Serve until told to stop: SIGTERM drains, SIGHUP to the master reads polyglot.toml again.

    Every option is also an environment variable of the same name in capitals (--env is POLYGLOT_ENV, --config is
    POLYGLOT_CONFIG), a line of .env and a key of polyglot.toml. So is jwt_secret, which is no option, because
    everybody on the machine can see command lines.
    """
    overrides = {name: value for name, value in locals().items() if value is not None}
    from polyglot_gateway.server.application import serve as run

    run(**overrides)
