"""Publishes what the core checks and serialises, and somebody else keeps."""

from __future__ import annotations

from collections.abc import Callable

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Ack, Place, Publisher


class PreparingPublisher:
    """Fulfils `Publisher` for who has events kept in a way of his own."""

    def __init__(self, gateway: _core.Gateway, keep: Callable[[_core.Submission, Place | None], None]) -> None:
        """Check by the rules of `gateway`.

        Args:
            gateway: Checks the events, and counts them.
            keep: Writes into a submission what became of each event; gets the place of its event when it has only one.
                Raises what is to be told of all.
        """
        self._prepares = gateway
        self._keep = keep

    def publish(
        self,
        app: str,
        channel: str,
        body: bytes,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> Ack:
        """See `Publisher`."""
        submission = self._prepares.prepare(app, channel, body, idempotency_key, source_ip, user_id, traceparent)
        self._keep(submission, (app, channel))
        return submission.ack()

    def publish_batch(
        self,
        app: str,
        body: bytes,
        ndjson: bool = False,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> bytes:
        """See `Publisher`."""
        submission = self._prepares.prepare_batch(app, body, ndjson, idempotency_key, source_ip, user_id, traceparent)
        self._keep(submission, None)
        return submission.results()

    def broadcast(
        self,
        app: str,
        body: bytes,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> bytes:
        """See `Publisher`."""
        submission = self._prepares.prepare_broadcast(app, body, idempotency_key, source_ip, user_id, traceparent)
        self._keep(submission, None)
        return submission.results()


_: Callable[..., Publisher] = PreparingPublisher
