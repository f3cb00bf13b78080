from urllib.parse import urlsplit

import pytest

from polyglot_gateway.several_hosts import split_hosts


@pytest.mark.parametrize(
    ("url", "alone", "hosts"),
    [
        ("cluster://one:1", "cluster://one:1", ["one:1"]),
        ("cluster://one:1,two:2?a=b", "cluster://one:1?a=b", ["one:1", "two:2"]),
        ("sentinel://u:p%40,@[::1]:1,[::2]:2/m", "sentinel://u:p%40,@[::1]:1/m", ["[::1]:1", "[::2]:2"]),
        ("sentinel://one:1,[::1]:2#x", "sentinel://one:1#x", ["one:1", "[::1]:2"]),
    ],
)
def test_hosts_are_told_apart(url: str, alone: str, hosts: list[str]) -> None:
    assert split_hosts(url) == (urlsplit(alone), hosts)


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="IPv6"):
        split_hosts("cluster://[::1:1,two:2")
