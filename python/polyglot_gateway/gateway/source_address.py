"""Where a request comes from, seen through the proxies that are trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?")


class SourceAddress:
    """Finds the address of the client.

    `X-Forwarded-For` is believed only from a trusted proxy, and only as far as trusted proxies wrote it: the client is
    the right-most address that is not one of theirs. Ports, which some proxies write too, are left out.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Trust these addresses and networks, and whoever is connected by a Unix socket."""
        self._networks = [ip_network(network) for network in trusted_proxies]
        self._peer = lru_cache(maxsize=1024)(self._find_peer)
        self._is_proxy = lru_cache(maxsize=1024)(self._find_proxy)

    def of(self, env: dict[str, Any]) -> str:
        """Return the address as text, an IPv4 one that was mapped into IPv6 as itself, and without a zone.

        It is "" when it is not known: a Unix socket without a forwarded address.
        """
        nearest, trusted = self._peer(env.get("REMOTE_ADDR", ""))
        forwarded = env.get("HTTP_X_FORWARDED_FOR")
        if not forwarded or not trusted:
            return nearest
        for hop in reversed(forwarded.split(",")):
            address = _parse(_without_port(hop.strip()))
            if address is None:
                break
            nearest = str(address)
            if not self._is_proxy(address):
                break
        return nearest

    def _find_peer(self, text: str) -> tuple[str, bool]:
        """The server's word for who is connected: the address, and whether it is trusted."""
        address = _parse(text.partition("%")[0])  # the zone is a name of this machine's own
        return (text, not text) if address is None else (str(address), self._is_proxy(address))

    def _find_proxy(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def _without_port(hop: str) -> str:
    """`1.2.3.4:80` and `[2001:db8::1]:443` without the port (RFC 7239, section 6, has the same forms)."""
    found = _WITH_PORT.fullmatch(hop)
    return hop if found is None else found[1] or found[2]


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; None for anything else, also for one with a zone, which may hold any text."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address
