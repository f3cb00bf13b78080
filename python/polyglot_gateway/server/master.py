"""The master process: gunicorn's, but SIGHUP changes the rules in place of the workers."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from polyglot_gateway.arbiter import HaltingArbiter
from polyglot_gateway.errors import SettingsError
from polyglot_gateway.server.hooks import HELD_BACK
from polyglot_gateway.server.logger import Logger

if TYPE_CHECKING:
    from polyglot_gateway.server.application import Server


class Master(HaltingArbiter):
    """Keeps the workers alive, and tells them to read polyglot.toml again."""

    app: Server
    log: Logger

    def handle_hup(self) -> None:
        """Check polyglot.toml; tell the workers when it is right, else say what is wrong and keep the old rules.

        gunicorn's own answer to SIGHUP replaces all workers, which drops their connections.
        """
        path = self.app.settings.polyglot_config
        try:
            waiting = self.app.reload_settings()
        except SettingsError as error:
            self.log.error(
                "%s was not reloaded, the old rules stay: %s. Correct it until `polyglot check-config` finds nothing "
                "wrong, then send SIGHUP again",
                path,
                "; ".join(str(error).splitlines()),
            )
            return
        self.log.info("%s reloaded", path)
        if waiting:
            self.log.warning("changed, but in force only from the next start: %s", ", ".join(waiting))
        self.kill_workers(signal.SIGHUP)

    def spawn_worker(self) -> int:
        """Fork a worker that receives reload and stop signals only once it can handle them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
