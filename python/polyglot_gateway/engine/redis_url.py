"""What a URL of Redis names: a server, the master that Sentinels know, or a cluster."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, unquote

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry
from redis.sentinel import Sentinel

from polyglot_gateway.engine.redis_cluster import Address, Cluster
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS, CONNECT_SECONDS, Nodes, OneRedis
from polyglot_gateway.several_hosts import split_hosts

_FOR_SENTINELS = ("socket_connect_timeout", "socket_timeout", "retry")
_OF_CLUSTERS = {"cluster": "redis", "clusters": "rediss"}


def nodes_at(url: str) -> Nodes:
    """Return the nodes that `url` names; nothing is sent yet.

    Args:
        url: As RedisLink has it.

    Raises:
        ValueError: The URL is not one of Redis.
    """
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "polyglot-gateway",
    }
    parts, hosts = split_hosts(url)
    if parts.scheme in _OF_CLUSTERS:
        return _cluster(parts, hosts, options)
    if parts.scheme == "sentinel":
        return _master(parts, hosts, options)
    return OneRedis(ConnectionPool.from_url(url, **options))


def _cluster(parts: SplitResult, hosts: list[str], options: dict[str, Any]) -> Cluster:
    login, at, _ = parts.netloc.rpartition("@")

    def connect(host: str, port: int) -> ConnectionPool:
        name = f"[{host}]" if ":" in host else host
        url = f"{_OF_CLUSTERS[parts.scheme]}://{login}{at}{name}:{port}?{parts.query}"
        return ConnectionPool.from_url(url, **options)

    if parts.path.strip("/"):
        raise ValueError("a cluster URL is cluster://host:port,host:port; there are no databases in a cluster")
    return Cluster(_addresses(hosts), connect)


def _master(parts: SplitResult, hosts: list[str], options: dict[str, Any]) -> OneRedis:
    login = parts.netloc.rpartition("@")[0]
    user, _, password = login.partition(":")
    master = parts.path.strip("/")
    if not master:
        raise ValueError("a sentinel URL is sentinel://host:port,host:port/master")
    of_sentinels = {key: options[key] for key in _FOR_SENTINELS}
    asked = Sentinel(_addresses(hosts), sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
    options = options | {"username": unquote(user) or None, "password": unquote(password) or None}
    client: redis.Redis = asked.master_for(master, **options)  # type: ignore[no-untyped-call]
    return OneRedis(client.connection_pool)


def _addresses(hosts: list[str]) -> list[Address]:
    found = []
    for host in hosts:
        name, colon, port = host.rpartition(":")
        if not (colon and name and port.isdigit()):
            raise ValueError("several hosts in a URL of Redis are host:port,host:port")
        found.append((name.strip("[]"), int(port)))
    return found
