"""The settings of the processor tier: who sees events before they are kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from polyglot_gateway.processor.address import Address, parse_address, why_not_together
from polyglot_gateway.settings_apps import FunctionName, Number, Seconds

Kind = Literal["embedded", "http", "grpc"]


def _urls(secret: SecretStr) -> list[str]:
    return [url.strip() for url in secret.get_secret_value().split(",") if url.strip()]


def _readable(secret: SecretStr) -> SecretStr:
    try:
        for url in _urls(secret):
            parse_address(url)
    except ValueError:
        # What is wrong may be a part of the password.
        raise ValueError(
            "must be http:// or https://, a host and perhaps a port and a path, in ASCII, and a comma before the next; "
            "in a password, write / as %2F, a comma as %2C and so on"
        ) from None
    return secret


def _kind(known: dict[str, Any]) -> Kind:
    if not _urls(known["processor_url"]):
        return "embedded"
    return "grpc" if known["use_grpc"] else "http"


class ProcessorSettings(BaseSettings):
    """Where the processor is: URLs of services, or a function that is called here. Without any nothing is called."""

    processor_url: Annotated[SecretStr, AfterValidator(_readable)] = Field(
        SecretStr(""),
        description="http:// or https://, several by comma: where the processor is; also GO_PROCESSOR_URL",
    )
    use_grpc: bool | None = Field(None, description="whether the processor at processor_url is asked by gRPC")
    processor: Kind = Field(default_factory=_kind, description="embedded, http or grpc: how the processor is asked")
    processor_function: FunctionName | None = Field(
        None, description="module:function that is called with events; of processor = embedded"
    )
    processor_grpc_port: Number = Field(
        9090, ge=1, le=65_535, description="port of gRPC on the hosts of processor_url; also GO_PROCESSOR_GRPC_PORT"
    )
    processor_pool_size: Number = Field(20, ge=1, le=1000, description="batches on their way to each endpoint")
    processor_timeout: Seconds = Field(5.0, gt=0, le=60, description="seconds that a processor elsewhere may take")
    use_circuit_breaker: bool = Field(
        True, description="whether a processor that keeps failing is left alone for a while"
    )

    def processor_urls(self) -> list[str]:
        """The URLs of the instances, with their passwords; none when nothing elsewhere is asked."""
        return _urls(self.processor_url)

    def processor_addresses(self) -> list[Address]:
        """The same, taken apart."""
        return [parse_address(url) for url in self.processor_urls()]

    def without_processor(self) -> Self:
        """The same where nothing is called."""
        nobody = {"processor": "embedded", "processor_url": SecretStr(""), "processor_function": None, "use_grpc": None}
        return self.model_copy(update=nobody)

    def wrong_processor(self) -> list[str]:
        """What no field can know alone, one line each; never a password."""
        elsewhere = self.processor != "embedded"
        addresses = self.processor_addresses()
        wrong = []
        if elsewhere and not addresses:
            wrong.append(
                f"processor_url: is not given, but processor is {self.processor}; say where, as in http://localhost:8080"
            )
        if addresses and not elsewhere:
            wrong.append(
                "processor: embedded calls a function here, but processor_url is given too; give one of them, or "
                "processor = http or grpc"
            )
        elif self.use_grpc is not None and self.use_grpc != (self.processor == "grpc"):
            wrong.append(self._contradiction())
        if elsewhere and self.processor_function:
            wrong.append(
                f"processor_function: {self.processor_function!r} is called here, but the processor is asked by "
                f"{self.processor}; give one of processor_function and processor_url"
            )
        if reason := why_not_together(self.processor, addresses):
            wrong.append(f"processor_url: {reason}")
        return wrong

    def _contradiction(self) -> str:
        said = f"use_grpc: {str(self.use_grpc).lower()}, but processor is {self.processor}"
        if self.processor == "embedded":
            return f"{said}, as no processor_url says where it is; give one, as in http://localhost:8080"
        return f"{said}; leave one of them out"
