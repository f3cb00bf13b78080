from typing import Any

import pytest

from polyglot_gateway.gateway.source_address import SourceAddress

CASES = [
    # peer, X-Forwarded-For, what is found
    ("203.0.113.9", None, "203.0.113.9"),
    ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not a proxy of ours: it may say what it likes
    ("127.0.0.1", None, "127.0.0.1"),
    ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
    ("127.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # what stands left of it, the client may have made up
    ("127.0.0.1", "198.51.100.1, 10.1.2.3", "198.51.100.1"),
    ("127.0.0.1", "10.9.9.9,10.1.2.3", "10.9.9.9"),
    ("127.0.0.1", "198.51.100.1,,10.1.2.3", "10.1.2.3"),
    ("127.0.0.1", "unknown", "127.0.0.1"),
    ("127.0.0.1", "198.51.100.1, <script>", "127.0.0.1"),
    ("::1", " 2001:db8::7 ", "2001:db8::7"),
    ("::1", "2001:0DB8:0::7", "2001:db8::7"),
    ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
    ("127.0.0.1", "fe80::1%<script>", "127.0.0.1"),
    ("127.0.0.1", "1.1.1.1, 5.6.7.8:80", "5.6.7.8"),
    ("127.0.0.1", "5.6.7.8:80, 10.1.2.3:4711", "5.6.7.8"),
    ("127.0.0.1", "[2001:DB8::1]:443", "2001:db8::1"),
    ("127.0.0.1", "[2001:db8::1]", "2001:db8::1"),
    ("127.0.0.1", "5.6.7.8:", "127.0.0.1"),
    ("127.0.0.1", "5.6.7.8:<script>", "127.0.0.1"),
    ("127.0.0.1", "[2001:db8::1", "127.0.0.1"),
    ("::ffff:1.2.3.4", None, "1.2.3.4"),  # how a socket bound to [::] names an IPv4 peer
    ("::ffff:1.2.3.4", "198.51.100.1", "1.2.3.4"),
    ("fe80::1%eth0", None, "fe80::1"),
    ("2001:0DB8::7", "198.51.100.1", "2001:db8::7"),
    ("", "198.51.100.1", "198.51.100.1"),  # a Unix socket
    ("", None, ""),
]


@pytest.mark.parametrize(("peer", "forwarded", "found"), CASES)
def test_the_right_most_address_that_is_no_proxy_is_the_source(peer: str, forwarded: str | None, found: str) -> None:
    environ: dict[str, Any] = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    assert SourceAddress(["127.0.0.1", "::1", "10.0.0.0/8"]).of(environ) == found


def test_without_trusted_proxies_nothing_is_believed() -> None:
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.1"}
    assert SourceAddress([]).of(environ) == "127.0.0.1"
