"""The settings of the Redis engine, which is used as soon as they name a Redis."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from polyglot_gateway.settings_apps import Number
from polyglot_gateway.several_hosts import split_hosts

_SCHEMES = ("redis", "rediss", "unix", "sentinel", "cluster", "clusters")
_SEVERAL_HOSTS = ("sentinel", "cluster", "clusters")
_HOST = re.compile(r"[^:\s]+:\d+|\[[0-9A-Fa-f:]+\]:\d+")


def _url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    scheme = url.partition("://")[0]
    if url and scheme not in _SCHEMES:
        raise ValueError(
            "must begin with redis://, rediss:// (TLS), unix://, sentinel://, cluster:// or clusters:// (with TLS)"
        )
    try:
        if scheme in _SEVERAL_HOSTS:
            parts, hosts = split_hosts(url)
            ports = [int(host.rpartition(":")[2]) for host in hosts if _HOST.fullmatch(host)]
            right = len(ports) == len(hosts) and all(0 < port < 65_536 for port in ports)
            # Sentinels know a master by its name; a cluster has one database.
            right = right and bool(parts.path.strip("/")) == (scheme == "sentinel")
        else:
            parts = urlsplit(url)
            right = scheme == "unix" or (parts.port != 0 and "@" not in parts.path + parts.query + parts.fragment)
    except ValueError:
        right = False
    if not right:
        # What is wrong may be a part of the password.
        raise ValueError("has no right host and port; in a password, write / as %2F, # as %23 and so on") from None
    return secret


class RedisSettings(BaseSettings):
    """Where Redis is: a URL, or a host and a port."""

    redis_url: Annotated[SecretStr, AfterValidator(_url)] = Field(
        SecretStr(""),
        description="redis://, rediss://, unix://, sentinel://, cluster:// or clusters://: "
        "several instances share the events that are there",
    )
    redis_host: str | None = Field(
        None, description="the same by the name of a host, with redis_port and redis_password"
    )
    redis_port: Number = Field(6379, ge=1, le=65_535, description="port of redis_host")
    redis_password: SecretStr = Field(SecretStr(""), description="password of redis_host")
    redis_prefix: str = Field(
        "polyglot", pattern=r"^[A-Za-z0-9_.:-]{1,64}$", description="before the name of every key in Redis"
    )
    redis_ttl: Number = Field(
        604_800, ge=60, le=31_536_000, description="seconds that a channel stays in Redis after its last event"
    )
    on_engine_down: Literal["fail", "spool"] = Field(
        "fail", description="what becomes of events while Redis does not answer: fail or spool"
    )
    spool_bytes: Number = Field(
        67_108_864, ge=65_536, le=2**40, description="bytes that wait for Redis, of each worker"
    )

    def redis(self) -> str:
        """The URL of Redis; empty when none is used."""
        if not self.redis_host:
            return self.redis_url.get_secret_value()
        password = self.redis_password.get_secret_value()
        user = f":{quote(password, safe='')}@" if password else ""
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return f"redis://{user}{host}:{self.redis_port}"

    def without_redis(self) -> Self:
        """The same for what concerns this machine alone."""
        return self.model_copy(update={"redis_url": SecretStr(""), "redis_host": None, "on_engine_down": "fail"})

    def wrong_redis(self) -> list[str]:
        """What no field can know alone, one line each; never a password."""
        if self.redis_host and self.redis_url.get_secret_value():
            return ["redis_host: redis_url is given too; give one of them"]
        if self.on_engine_down == "spool" and not self.redis():
            return [
                "on_engine_down: spool is for events that are kept in Redis; without redis_url or redis_host they are "
                "kept here, and nothing can be down"
            ]
        return []
