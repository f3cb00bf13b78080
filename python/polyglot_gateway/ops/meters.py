"""What health and metrics read."""

from __future__ import annotations

from typing import Protocol


class Meters(Protocol):
    """Figures of all workers that share an engine."""

    def counters(self) -> dict[str, int]:
        """Totals by name; refusals as `refused.<code>`."""

    def latencies(self) -> dict[str, tuple[list[float], list[int], float]]:
        """Per operation: upper bounds in seconds, counts per bucket (one more than bounds), sum in seconds."""

    def apps(self) -> dict[str, dict[str, int]]:
        """The totals that are kept by app; "" has those of apps that have none of their own."""

    def gauges(self) -> dict[str, int]:
        """What the workers that live have at the moment, by name."""

    def segment(self) -> dict[str, float]:
        """How full the engine is, by name."""

    def spool(self) -> dict[str, int]:
        """What waits on this host for an engine elsewhere, by name; nothing when none ever does."""

    def notices(self) -> list[str]:
        """What opening the engine had to repair or set aside, one sentence each."""
