"""The link to Redis: one client, the functions it needs there, and what it means when it does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from polyglot_gateway.errors import EngineDown, EngineUnavailable

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 2.0
"""How long Redis may take; longer than any command of ours takes a Redis that is well."""
REST_SECONDS = 0.25
"""After a failure, nothing is asked of Redis for so long: all that comes meanwhile is refused at once."""

AT_ONCE = 32
"""Readers that ask Redis at a time, each over a connection of its own; more wait their turn."""

OLDEST_REDIS = (7, 0, 0)
"""The first with functions."""

LIBRARY = "polyglot_2"
"""The library of functions in redis_functions.lua."""

_FOR_SENTINELS = ("socket_connect_timeout", "socket_timeout", "retry")

Command = Sequence[bytes | str | int]


class RedisLink:
    """Sends commands to one Redis, each once: what may have been done already is never sent again. Thread safe.

    Attributes:
        client: Of redis-py, for what is not sent here.
        turns: Held while something is asked of which there may be as much as there are readers. Who waits for one is in
            nobody else's way, and hears at once should Redis have failed meanwhile.
    """

    def __init__(self, url: str) -> None:
        """Make a client for `url`; nothing is sent yet.

        Args:
            url: redis://, rediss:// or unix://, as redis-py reads it, or
                sentinel://[user:password@]host:port[,host:port…]/master, by which Sentinels say where the master is.

        Raises:
            ValueError: The URL is none of these.
        """
        self.client = _client(url)
        self._trouble = ""
        self._rests_until = 0.0
        self._loading = threading.Lock()
        self.turns = threading.BoundedSemaphore(AT_ONCE)
        self._closed = False

    def send(self, commands: Iterable[Command]) -> list[Any]:
        """Send all of them at once and return the answers, among them `ResponseError`s.

        Raises:
            EngineDown: Redis does not answer. What it was sent may have been done or not.
        """
        commands = list(commands)
        answers = self._send(commands)
        # None of these was done, and they may be sent again.
        missing = [place for place, answer in enumerate(answers) if _is_missing_function(answer)]
        if missing:
            self._load()
            if any(command[0] == "FCALL" and place not in missing for place, command in enumerate(commands)):
                # Another gateway gave them meanwhile. What is sent now would come behind what was done already.
                raise EngineDown("Redis had just begun anew; only a part was done.")
            for place, answer in zip(missing, self._send([commands[place] for place in missing]), strict=True):
                answers[place] = answer
        return answers

    def ask(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer.

        Raises:
            EngineUnavailable: Redis does not answer, or refuses.
        """
        (answer,) = self.send([command])
        if isinstance(answer, ResponseError):
            raise EngineUnavailable(refusal(answer))
        return answer

    def trouble(self) -> str:
        """Why Redis can't be used, one sentence; empty when it can."""
        try:
            self.ask("PING")
        except EngineUnavailable as error:
            return error.message
        return ""

    def version(self) -> tuple[int, ...]:
        """The version of Redis.

        Raises:
            EngineUnavailable: Redis does not answer, or refuses.
        """
        found = self.ask("INFO", "server")["redis_version"]
        return tuple(int(part) for part in str(found).split(".") if part.isdigit())

    def forgets(self) -> str:
        """The policy by which Redis drops keys when its memory is full; empty when it drops none.

        Raises:
            EngineUnavailable: Redis does not answer, or refuses.
        """
        memory = self.ask("INFO", "memory")
        policy = str(memory["maxmemory_policy"])
        return policy if int(memory["maxmemory"]) > 0 and policy != "noeviction" else ""

    def failed(self, error: RedisError) -> EngineDown:
        """Take note of a failure; returns what to raise."""
        said = str(error) or type(error).__name__
        self._trouble = f"Redis does not answer: {said.rstrip('.')}."
        self._rests_until = time.monotonic() + REST_SECONDS
        return EngineDown(self._trouble)

    def check_open(self) -> None:
        """Raise EngineUnavailable when the link is closed."""
        if self._closed:
            raise EngineUnavailable("The link to Redis is closed.")

    def check(self) -> None:
        """Raise EngineUnavailable when Redis has just failed, or the link is closed."""
        self.check_open()
        if time.monotonic() < self._rests_until:
            raise EngineDown(self._trouble)

    def close(self) -> None:
        """Let go of all connections; later calls raise EngineUnavailable. Idempotent."""
        self._closed = True
        self.client.close()

    def _send(self, commands: list[Command]) -> list[Any]:
        self.check()
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        try:
            return pipeline.execute(raise_on_error=False)
        except RedisError as error:
            raise self.failed(error) from error

    def _load(self) -> None:
        """Give Redis the functions. Those of another number stay, for gateways of another version."""
        code = files("polyglot_gateway.engine").joinpath("redis_functions.lua").read_text()
        with self._loading:
            try:
                self.client.function_load(code, replace=True)
            except ResponseError as error:
                raise EngineUnavailable(refusal(error)) from error
            except RedisError as error:
                raise self.failed(error) from error


def _client(url: str) -> redis.Redis:
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "polyglot-gateway",
    }
    parts = urlsplit(url)
    if parts.scheme != "sentinel":
        return redis.Redis.from_url(url, **options)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    master = parts.path.strip("/")
    sentinels = []
    for host in hosts.split(","):
        name, colon, port = host.rpartition(":")
        if not (colon and name and port.isdigit() and master):
            raise ValueError("a sentinel URL is sentinel://host:port,host:port/master")
        sentinels.append((name.strip("[]"), int(port)))
    of_sentinels = {key: options[key] for key in _FOR_SENTINELS}
    asked = Sentinel(sentinels, sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
    options |= {"username": unquote(user) or None, "password": unquote(password) or None}
    client: redis.Redis = asked.master_for(master, **options)  # type: ignore[no-untyped-call]
    return client


def refusal(error: ResponseError) -> str:
    """What Redis said when it refused a command, as a sentence."""
    return f"Redis refuses: {str(error).rstrip('.')}."


def _is_missing_function(answer: Any) -> bool:
    return isinstance(answer, ResponseError) and "unction not found" in str(answer)
