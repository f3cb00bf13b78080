"""The setting of traces: whether what is done is told to OpenTelemetry."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, Self

from pydantic import Field
from pydantic_settings import BaseSettings

_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class TraceSettings(BaseSettings):
    """Whether there are spans. Where they go and which are taken, OpenTelemetry's own variables say."""

    traces: Literal["off", "otlp"] = Field("off", description="off or otlp: whether spans go to a collector")

    def without_traces(self) -> Self:
        """The same where there are no spans."""
        return self.model_copy(update={"traces": "off"})

    def wrong_traces(self) -> list[str]:
        """What no field can know alone, one line each."""
        return missing_otel("traces") if self.traces == "otlp" else []


def missing_otel(setting: str) -> list[str]:
    """Say what the extra `otel` lacks; nothing when it is installed. Imports none of it.

    Args:
        setting: Whose value asks for it.
    """
    return [
        f"{setting}: OpenTelemetry cannot be used: there is no {module}; pip install 'polyglot-gateway[otel]'"
        for module in _NEEDED
        if not _is_installed(module)
    ][:1]


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is a package that it would be in
        return False
