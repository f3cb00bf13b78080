import pytest

from polyglot_gateway.engine.redis_cluster import Cluster
from polyglot_gateway.engine.redis_nodes import OneRedis
from polyglot_gateway.engine.redis_url import nodes_at


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://one", OneRedis),
        ("rediss://user:p%40ss@[::1]:6380/2", OneRedis),
        ("unix:///redis.sock", OneRedis),
        ("sentinel://:secret@one:1,[::1]:2/master", OneRedis),
        ("cluster://one:1", Cluster),
        ("clusters://user:p%40ss@one:1,[::1]:2?ssl_ca_certs=ca.pem", Cluster),
    ],
)
def test_what_a_url_names(url: str, kind: type) -> None:
    """Nothing is sent yet, or none of these would be there."""
    nodes = nodes_at(url)
    assert type(nodes) is kind
    nodes.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://redis",
        "sentinel://one/master",
        "sentinel://one:1",
        "cluster://one",
        "cluster://one:1,two",
        "cluster://one:1/2",
    ],
)
def test_what_is_no_url_of_redis_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        nodes_at(url)
