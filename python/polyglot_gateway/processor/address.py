"""Where a processor is: the parts of its URL."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """An http or https URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    """Without a slash at its end; often empty."""
    authorization: str
    """What a request says for the user and password in the URL; empty for none."""

    def with_port(self, port: int) -> str:
        """Host and port, as one writes them."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    @property
    def name(self) -> str:
        """The URL without what may be secret in it."""
        return f"{self.scheme}://{self.with_port(self.port)}"


def parse_address(url: str) -> Address:
    """Take a URL apart.

    Raises:
        ValueError: It is none of those that a processor can have; the message holds nothing of its user and password.
    """
    shown = f"the processor's URL {_without_user(url)!r}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{shown} cannot be read; write it as http://host:port") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ValueError(f"{shown} must begin with http:// or https:// and a host")
    if parts.query or parts.fragment:
        raise ValueError(f"{shown} must end with its path: neither ? nor # may be in it")
    if any(ord(character) <= 32 or ord(character) >= 127 for character in url):
        raise ValueError(f"{shown} must be ASCII without spaces")
    user = unquote(parts.netloc.rpartition("@")[0])
    authorization = f"Basic {base64.b64encode(user.encode()).decode()}" if user else ""
    return Address(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/"), authorization)


def why_not_together(kind: str, addresses: Sequence[Address]) -> str | None:
    """Why they cannot be instances of one processor that is asked by `kind`; None when they can."""
    places = {address.host if kind == "grpc" else address.name + address.path for address in addresses}
    if len(places) < len(addresses):
        return "two URLs of processors name the same place"
    if kind == "grpc" and any(address.scheme != "http" for address in addresses):
        return "gRPC goes without TLS: write the processor's URL with http://"
    return None


def _without_user(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2] if separator else url.rpartition("@")[2]
