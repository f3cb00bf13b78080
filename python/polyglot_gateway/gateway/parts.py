"""What `create_app` is made from, besides the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Access(Protocol):
    """Who may do what by API key, and how much at a time."""

    def authorize(self, app: str, channel: str, key: str | bytes, scope: str) -> None:
        """Return when `key` may do `scope` in the channel; `channel` is "" for what concerns the whole app.

        A key that is text stands for its bytes in UTF-8.

        Raises: InvalidApp, InvalidChannel, Unauthorized, Forbidden.
        """

    def max_event_bytes(self, app: str, channel: str) -> int:
        """Largest publish body that the channel takes."""

    def rate_limit(self, app: str) -> tuple[str, str] | None:
        """What RateLimit-Policy and RateLimit say of the app; None where no rate is limited."""

    def limits(self, app: str) -> bytes:
        """The app's limits and what is used of them, as JSON. Raises: InvalidApp."""


class Streams(Protocol):
    """Opens event streams."""

    def open(
        self,
        app: str,
        channel: str,
        epoch: str,
        since: int | None,
        cut: Callable[[], object] | None,
        allowed: Callable[[], bool],
    ) -> Iterable[bytes]:
        """Server-sent events of the channel after the position, without end; closing the iterable frees what it holds.

        `epoch` "" is the present one; `since` None is where the channel stands now. It ends once `allowed` says no.
        """


RateLimitOf = Callable[[str], tuple[str, str] | None]
"""As `Access.rate_limit`."""

CountRefused = Callable[[str], None]
"""Told the code of each error that was answered."""

CountResponse = Callable[[int], None]
"""Told the status of each reply."""

Reasons = Callable[[], list[str]]
"""Why the gateway cannot serve, one sentence each; empty when it can."""

Report = Callable[[], dict[str, Any]]
"""How something is, as JSON values."""

Exposition = Callable[[str], tuple[bytes, str]]
"""The metrics in the format that the Accept header asks for, and their content type."""
