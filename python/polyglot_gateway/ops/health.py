"""The full status, for a person."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from polyglot_gateway.errors import GatewayError
from polyglot_gateway.ops.meters import Meters


class Health:
    """Puts together how the gateway is."""

    def __init__(
        self,
        meters: Meters,
        ready: Callable[[], list[str]],
        *,
        version: str,
        environment: str,
        engine: str,
        breaker: Callable[[], dict[str, Any]],
    ) -> None:
        """Report about `meters`.

        Args:
            meters: The figures.
            ready: Gives the reasons why not all requests can be served.
            version: Of the gateway.
            environment: As the settings call it.
            engine: As the settings call it.
            breaker: As `Processor.breaker`.
        """
        self._meters = meters
        self._ready = ready
        self._version = version
        self._environment = environment
        self._engine = engine
        self._breaker = breaker
        self._started = time.monotonic()

    def report(self) -> dict[str, Any]:
        """Return the status as JSON values: `ok`, or `degraded` with the reasons."""
        reasons = self._ready()
        return {
            "status": "degraded" if reasons else "ok",
            "reasons": reasons,
            "version": self._version,
            "env": self._environment,
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "worker": os.getpid(),
            "engine": {"name": self._engine, **self._figures()},
            "processor": self._processor(),
        }

    def _processor(self) -> dict[str, Any]:
        breaker = self._breaker()
        told = ("endpoint", "protocol", "state", "last_error")
        endpoints = [{name: endpoint[name] for name in told} for endpoint in breaker.get("endpoints", [])]
        return {"name": breaker["processor"], "state": breaker["state"], "endpoints": endpoints}

    def _figures(self) -> dict[str, Any]:
        try:
            return {"segment": self._meters.segment(), "notices": self._meters.notices()}
        except GatewayError as error:
            return {"segment": None, "notices": [error.message]}
