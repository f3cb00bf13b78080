"""Where a request comes from, seen through the proxies that are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any


class SourceAddress:
    """Finds the address of the client.

    `X-Forwarded-For` is believed only from a trusted proxy, and only as far as trusted proxies wrote it: the client is
    the right-most address that is not one of theirs.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Trust these addresses and networks, and whoever is connected by a Unix socket."""
        self._networks = [ip_network(network) for network in trusted_proxies]
        self._is_proxy = lru_cache(maxsize=1024)(self._find_proxy)

    def of(self, env: dict[str, Any]) -> str:
        """Return the address as text; "" when it is not known (a Unix socket without a forwarded address)."""
        peer: str = env.get("REMOTE_ADDR", "")
        forwarded = env.get("HTTP_X_FORWARDED_FOR")
        if not forwarded or (peer and not self._is_proxy(peer)):
            return peer
        nearest = peer
        for hop in reversed(forwarded.split(",")):
            address = _parse(hop.strip())
            if address is None:
                break
            nearest = str(address)
            if not self._is_proxy(nearest):
                break
        return nearest

    def _find_proxy(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; None for anything else, also for one with a zone, which may hold any text."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address
