"""The composition root: joins the settings, the engine, the processor, realtime delivery and the REST interface.

`gunicorn -k gevent 'polyglot_gateway.app:create_app()'` serves the gateway. The history must not cross a fork, so
that is not to be combined with gunicorn's `preload_app`. A stock gunicorn calls neither `reload` nor `drain`: SIGHUP
replaces its workers, and at SIGTERM open event streams hold a worker until `--graceful-timeout` and then are cut. It
also takes SCRIPT_NAME from a header of whom it trusts, which `--forwarder-headers ''` ends. `polyglot serve` (package
`server`) sees to all of this.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import structlog

from polyglot_gateway import _core, gateway
from polyglot_gateway.calls import Observe
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.spool_file import waiting
from polyglot_gateway.gateway.jwks import KeySet
from polyglot_gateway.gateway.tokens import Tokens
from polyglot_gateway.loading import load_function
from polyglot_gateway.ops.health import Health
from polyglot_gateway.ops.logs import configure_logs, set_log_level
from polyglot_gateway.ops.metrics import Metrics
from polyglot_gateway.ops.vitals import Vitals
from polyglot_gateway.processor.base import UNBROKEN, Processor
from polyglot_gateway.processor.publisher import ProcessingPublisher
from polyglot_gateway.processor.timed import TimedProcessor
from polyglot_gateway.realtime.event_stream import EventStreams
from polyglot_gateway.realtime.hub import Hub
from polyglot_gateway.settings import Settings, load_settings

if TYPE_CHECKING:
    from polyglot_gateway.engine.redis import RedisEngine
    from polyglot_gateway.engine.redis_spool import Spool
    from polyglot_gateway.ops.spans import Spans

_log = structlog.get_logger("polyglot_gateway.app")


def open_spans(settings: Settings) -> Spans | None:
    """Begin to make spans in the process that does what they tell of; None when the settings ask for none.

    Raises:
        SettingsError: OpenTelemetry's own variables are wrong.
    """
    if settings.traces == "off":
        return None
    # It has a thread, which would not survive a fork, and imports ssl, which gevent wants to patch first.
    from polyglot_gateway.ops.spans import Spans  # noqa: PLC0415

    return Spans("polyglot-gateway", _core.__version__)


def open_engine(settings: Settings, observe: Observe | None = None) -> EmbeddedEngine | RedisEngine:
    """Open the engine that the settings ask for, with their apps, keys and rules.

    Args:
        settings: Say which, and how.
        observe: Watches what is sent to append events.

    Raises:
        StorageError: The data folder cannot be used.
    """
    engine = EmbeddedEngine(
        str(settings.data_dir),
        history_size=settings.history_size,
        history_bytes=settings.history_bytes,
        max_channels=settings.max_channels,
        idempotency_keys=settings.idempotency_keys,
        durability=settings.durability,
    )
    engine.configure(settings.access(), settings.rules(), settings.limits())
    if not settings.redis():
        return engine
    # It imports ssl, which gevent wants to patch first, in the workers.
    from polyglot_gateway.engine.redis import RedisEngine  # noqa: PLC0415

    return RedisEngine(
        engine,
        settings.redis(),
        prefix=settings.redis_prefix,
        history_size=settings.history_size,
        seconds=settings.redis_ttl,
        spool=_spool_of(settings, engine),
        observe=observe,
    )


def open_processor(settings: Settings, observe: Observe | None = None) -> Processor | None:
    """Open the processor that the settings ask for, in the process that uses it; None when nothing is to be called.

    Args:
        settings: Say which, and how.
        observe: Watches each batch that is sent.

    Raises:
        SettingsError: The function cannot be imported, or gRPC is not installed.
    """
    if settings.processor == "embedded":
        if settings.processor_function is None:
            return None
        from polyglot_gateway.processor.embedded import EmbeddedProcessor  # noqa: PLC0415

        return EmbeddedProcessor(load_function("processor_function", settings.processor_function))
    # It imports ssl, which gevent wants to patch first, in the workers; and what gRPC begins would not survive a fork.
    from polyglot_gateway.processor import open as remote  # noqa: PLC0415

    return remote.open_processor(
        settings.processor,
        settings.processor_urls(),
        grpc_port=settings.processor_grpc_port,
        pool_size=settings.processor_pool_size,
        timeout=settings.processor_timeout,
        breaker=settings.use_circuit_breaker,
        observe=observe,
    )


def _spool_of(settings: Settings, engine: EmbeddedEngine) -> Spool | None:
    from polyglot_gateway.engine.redis_spool import Spool  # noqa: PLC0415

    folder = settings.data_dir / "spool"
    if settings.on_engine_down == "spool":
        return Spool(engine.gateway, folder, most_bytes=settings.spool_bytes, durability=settings.durability)
    if left := waiting(folder)[0]:
        _log.warning(f"{left} acknowledged events wait in {folder}; start with ON_ENGINE_DOWN=spool to forward them")
    return None


class Application:
    """The gateway as a WSGI application, with what its server needs to reload, drain and close it.

    Attributes:
        settings: What it runs with.
        processor: Sees the events before they are kept, None when nothing does.
        engine: Keeps the events.
        remote: The same when it keeps them elsewhere, None otherwise.
        hub: Wakes the event streams.
        tokens: Turns bearer tokens into what they grant.
        falcon: The Falcon application; more routes may be added to it.
    """

    def __init__(self, settings: Settings) -> None:
        """Open everything.

        Raises:
            SettingsError: A function that the settings name cannot be imported, a key set cannot be read, gRPC is not
                installed, or OpenTelemetry's own variables are wrong.
            StorageError: The data folder cannot be used.
        """
        self.settings = settings
        hook = None if settings.authorize is None else load_function("authorize", settings.authorize)
        self._keys = KeySet(settings.jwt_jwks) if settings.jwt_jwks else None
        self.tokens = Tokens(
            settings.jwt_secret.get_secret_value(),
            hook,
            keys=self._keys,
            issuer=settings.jwt_issuer or "",
            audience=settings.jwt_audience or "",
        )
        self._spans = open_spans(settings)
        observe = self._spans.observe if self._spans else None
        processor = open_processor(settings, observe)
        self.engine = engine = open_engine(settings, observe)
        self.processor = (
            None
            if processor is None
            else TimedProcessor(processor, lambda seconds: engine.gateway.count_time("processor", seconds))
        )
        self._native = False
        self._vitals = Vitals(
            engine.gateway.set_gauge,
            engine=lambda: engine.ready() + engine.degraded(),
            processor=lambda: self.processor.ready() if self.processor is not None else [],
            breaker=self._breaker,
            streams=lambda: None if self._native else self.hub.count(),
        )
        self.remote = cast("RedisEngine", engine) if settings.redis() else None
        self.hub = Hub(engine.follow)
        health = Health(
            engine,
            lambda: self._reasons() + engine.degraded(),
            version=_core.__version__,
            environment=settings.polyglot_env,
            engine="redis" if settings.redis() else "embedded",
            breaker=self._breaker,
        )
        self.falcon = gateway.create_app(
            engine,
            engine,
            EventStreams(
                engine,
                self.hub,
                hold=engine.gateway.hold,
                count_delivered=engine.gateway.count_delivered,
                count_lag=partial(engine.gateway.count_time, "delivery"),
            ),
            count_refused=engine.count_refused,
            count_response=engine.gateway.count_response,
            ready=self._reasons,
            health=health.report,
            metrics=self._metrics,
            breaker=self._breaker,
            version=_core.__version__,
            publisher=ProcessingPublisher(engine, self.processor) if self.processor else None,
            tokens=self.tokens,
            max_batch_bytes=settings.max_batch_bytes,
            cors_origins=settings.cors_origins,
            trusted_proxies=settings.trusted_proxies,
            console=settings.console,
        )
        if self._spans:
            from polyglot_gateway.gateway.request_spans import RequestSpans  # noqa: PLC0415

            self.falcon.add_middleware(RequestSpans(self._spans.tracer))
        self._exposition = Metrics(
            engine, version=_core.__version__, ready=self._reasons, is_native=lambda: self._native
        ).exposition
        if self._keys:
            self._keys.start()
        for notice in engine.notices():
            _log.warning(notice)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        return self.falcon(environ, start_response)

    def native_server(self, max_connections: int) -> _core.Server:
        """Return the native server over this application's engine; whoever starts it also stops it.

        Args:
            max_connections: More wait until others have gone.
        """
        self._native = True
        return _core.Server(
            self.engine.gateway,
            max_batch_bytes=self.settings.max_batch_bytes,
            cors_origins=self.settings.cors_origins,
            trusted_proxies=self.settings.trusted_proxies,
            max_connections=max_connections,
            asks_python=self.settings.authorize is not None,
            engine_elsewhere=self.remote is not None,
            processes=self.processor is not None,
            most_processed=self.settings.processor_pool_size,
            local_pages=self.settings.development,
        )

    def reload(self) -> None:
        """Read apps, keys, channel rules, limits, the log level and the key set again.

        Requests under way are not disturbed, nor are open streams, unless they are no longer allowed.

        Raises:
            SettingsError: Something is wrong; what held before still holds.
        """
        settings = self.settings.reread()
        self.engine.configure(settings.access(), settings.rules(), settings.limits())
        if settings.log_level != self.settings.log_level:
            set_log_level(settings.log_level)
            _log.info(f"logs from {settings.log_level} on")
        self.settings = settings
        if self._keys:
            self._keys.reload()

    def count_start(self) -> None:
        """Count that this worker begins to serve."""
        self.engine.gateway.count("worker_starts", 1)

    def tell(self) -> None:
        """Say how this worker is, for the metrics that any worker may be asked for; to be called once a second."""
        self._vitals.tell()

    def drain(self) -> None:
        """End all event streams and say on /ready that this worker stops; other requests are still answered."""
        self.hub.drain()

    def close(self) -> None:
        """Drain, then let go of the processor and the history, and send the spans that are left. Idempotent."""
        self.hub.close()
        if self._keys:
            self._keys.close()
        if self.processor is not None:
            self.processor.close()
        self.engine.close()
        if self._spans:
            self._spans.close()

    def _reasons(self) -> list[str]:
        """Why requests should not be sent here."""
        stopping = ["This worker is shutting down."] if self.hub.draining else []
        return stopping + self.engine.ready() + (self.processor.ready() if self.processor is not None else [])

    def _metrics(self, accept: str) -> tuple[bytes, str]:
        """As Metrics.exposition, with how this worker is right now."""
        self.tell()
        return self._exposition(accept)

    def _breaker(self) -> dict[str, Any]:
        """The state of the breakers before the processor, as this worker has them."""
        return dict(UNBROKEN) if self.processor is None else self.processor.breaker()


def create_app(settings: Settings | None = None) -> Application:
    """Return the gateway, made from `settings` or else from what `load_settings` finds.

    Sets the logs up too, and says there what whoever started this should know about the settings.

    Raises:
        SettingsError: A setting is wrong.
        StorageError: The data folder cannot be used.
    """
    settings = settings or load_settings()
    configure_logs(settings.log_level, settings.log_format)
    application = Application(settings)
    for warning in settings.warnings():
        _log.warning(warning)
    return application
