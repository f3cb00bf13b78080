"""What a worker does for an engine elsewhere.

It takes there what is published, brings here what is followed, and carries what workers tell each other of presence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from polyglot_gateway import _core
from polyglot_gateway.errors import GatewayError
from polyglot_gateway.server.append_loop import AppendLoop
from polyglot_gateway.server.presence_bus import PresenceBus

if TYPE_CHECKING:
    from polyglot_gateway.engine.redis import RedisEngine


class Elsewhere:
    """Stands between one server and the engine."""

    def __init__(self, server: _core.Server, engine: RedisEngine) -> None:
        self._server = server
        self._appends = AppendLoop(server, engine.appender)
        self._mirror = engine.mirror(server.listen)
        self._presence = PresenceBus(server, *engine.presence())

    def start(self) -> None:
        """Work from now on; the server has been started."""
        self._appends.start()
        gevent.spawn(self._mirror.run)
        self._presence.start()

    def stop(self) -> None:
        """End it, and say what the server has left to say; the server has been stopped."""
        self._mirror.stop()
        self._appends.stop()
        self._presence.stop()

    def follow(self, number: int, app: str, channel: str, since: int | None, epoch: str) -> None:
        """Keep the channel here equal from now on, and decide or deny the job of this number when it is."""

        def answer(error: GatewayError | None) -> None:
            if error is None:
                self._server.decide(number, None)
            else:
                self._server.deny(number, error.code, error.message)

        self._mirror.follow(app, channel, since, epoch, answer)

    def unfollow(self, app: str, channel: str) -> None:
        """Nobody reads the channel any more."""
        self._mirror.unfollow(app, channel)

    def announce(self, message: bytes) -> None:
        """Tell all workers, behind what was told before."""
        self._presence.say(message)
