"""`serve`: checks everything that can be checked before the first fork, then runs gunicorn."""

from __future__ import annotations

import sys
from typing import Any

from gunicorn.app.base import BaseApplication

from polyglot_gateway.app import Application, create_app
from polyglot_gateway.errors import GatewayError, SettingsError
from polyglot_gateway.ops.logs import reserve_standard_descriptors, set_log_level
from polyglot_gateway.server.address import PATIENCE_SECONDS, why_not_free
from polyglot_gateway.server.gunicorn_options import gunicorn_options
from polyglot_gateway.server.master import Master
from polyglot_gateway.settings import Settings, load_settings


class Server(BaseApplication):
    """gunicorn's view of the gateway: its options, and how a worker makes the application after the fork."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Fill in gunicorn's configuration; called by its constructor."""
        for name, value in gunicorn_options(self.settings).items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """Make the application; called once in each worker. Ends the worker when that fails, which ends the server."""
        try:
            return Application(self.settings)
        except GatewayError as error:
            print(f"polyglot: {error}", file=sys.stderr, flush=True)
            sys.exit(Master.WORKER_BOOT_ERROR)

    def reload_settings(self) -> list[str]:
        """Read polyglot.toml again for the workers that start from now on; returns what waits for the next start.

        Raises:
            SettingsError: A setting is wrong; the old ones stay.
        """
        fresh = self.settings.reread()
        waiting = fresh.waiting_for_a_start()
        self.settings = fresh
        set_log_level(fresh.log_level)
        return waiting

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or SIGQUIT; ends by SystemExit."""
        Master(self).run()


def serve(**overrides: Any) -> None:
    """Serve with the settings found and `overrides` on top of them; ends by SystemExit.

    Raises:
        SettingsError: A setting is wrong, or the address is in use.
        StorageError: The data folder cannot be used.
    """
    reserve_standard_descriptors()
    settings = load_settings(**overrides)
    reason = why_not_free(settings.bind, PATIENCE_SECONDS)
    if reason:
        raise SettingsError(f"bind: cannot listen on {settings.bind}: {reason}; choose another with --bind or PORT")
    # Opened and let go again before the first fork: a full disk or a wrong version is said once, not once a worker. The
    # workers inherit the logs that this sets up. Redis, the processor, the key set and traces stay out of it: what asks
    # them is imported in the workers, after gevent has patched what that imports.
    create_app(settings.without_redis().without_processor().without_jwks().without_traces()).close()
    Server(settings).run()
