"""URLs with several hosts by comma, as those of Sentinels and clusters are."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split_hosts(url: str) -> tuple[SplitResult, list[str]]:
    """As urlsplit, of the URL with the first of its hosts alone; and all of them, each with its port.

    urlsplit itself refuses brackets, which IPv6 addresses have, behind the first host: in Debian's Python and in newer
    ones.

    Raises:
        ValueError: As urlsplit.
    """
    scheme, slashes, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    login, at_sign, hosts = rest[:end].rpartition("@")
    first = hosts.partition(",")[0]
    return urlsplit(f"{scheme}{slashes}{login}{at_sign}{first}{rest[end:]}"), hosts.split(",")
