"""How gunicorn is configured: every option that differs from its defaults, and why."""

from __future__ import annotations

from typing import Any

from polyglot_gateway.server import hooks
from polyglot_gateway.server.logger import Logger
from polyglot_gateway.settings import Settings

IDLE_SECONDS = 5
"""How long an idle keep-alive connection, or one that has not finished its headers, is kept; also delays a drain."""

CONNECTIONS_PER_WORKER = {"native": 100_000, "wsgi": 10_000}
"""Each subscriber holds one; gunicorn's 1000 would be the limit of a worker's subscribers."""


_WORKER_CLASSES = {
    "native": "polyglot_gateway.server.worker.NativeWorker",
    "wsgi": "polyglot_gateway.server.wsgi_worker.WsgiWorker",
}


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings by name."""
    return {
        "bind": settings.bind,
        "workers": settings.workers,
        "worker_class": _WORKER_CLASSES[settings.server],
        "worker_connections": CONNECTIONS_PER_WORKER[settings.server],
        "keepalive": IDLE_SECONDS,
        "graceful_timeout": settings.graceful_timeout,
        # A channel name of 200 characters, all percent-encoded, with every parameter of the history route.
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        "forwarded_allow_ips": ",".join(settings.trusted_proxies),
        # By default a trusted peer may set SCRIPT_NAME and PATH_INFO by headers, which proxies pass on from anybody.
        "forwarder_headers": "",
        "loglevel": settings.log_level,
        "logger_class": Logger,
        "accesslog": None,
        # The mapped history must not cross a fork: each worker opens its own.
        "preload_app": False,
        # Its path is one per user, so a second instance would take it away from the first.
        "control_socket_disable": True,
        "when_ready": hooks.listening,
        "post_worker_init": hooks.started,
        "worker_exit": hooks.exiting,
    }
