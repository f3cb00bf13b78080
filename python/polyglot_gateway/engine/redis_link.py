"""The link to Redis: sends commands once, and the functions they need, and says why there is no answer."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

from redis.exceptions import ResponseError

from polyglot_gateway.engine.redis_nodes import Node, nodes_at, pack
from polyglot_gateway.errors import EngineDown, EngineUnavailable

AT_ONCE = 32
"""Readers that ask Redis at a time, each over a connection of its own; more wait their turn."""

OLDEST_REDIS = (7, 0, 0)
"""The first with functions."""

LIBRARY = "polyglot_2"
"""The library of functions in redis_functions.lua."""

Command = Sequence[bytes | str | int]


class RedisLink:
    """Sends commands to Redis, each once: what may have been done already is never sent again. Thread safe.

    Attributes:
        nodes: Who has which key.
        turns: Held while something is asked of which there may be as much as there are readers. Who waits for one is in
            nobody else's way, and hears at once should Redis have failed meanwhile.
    """

    def __init__(self, url: str) -> None:
        """Make a link to `url`; nothing is sent yet.

        Args:
            url: redis://, rediss:// or unix://, as redis-py reads it, or
                sentinel://[user:password@]host:port[,host:port…]/master, by which Sentinels say where the master is.

        Raises:
            ValueError: The URL is none of these.
        """
        self.nodes = nodes_at(url)
        self._loading = threading.Lock()
        self.turns = threading.BoundedSemaphore(AT_ONCE)
        self._closed = False

    def send(self, commands: Iterable[Command]) -> list[Any]:
        """Send all of them at once; as `send_packed`."""
        return self.send_packed([(_key_of(command), pack(*command)) for command in commands])

    def send_packed(self, calls: Sequence[tuple[str, bytes]]) -> list[Any]:
        """Send commands as RESP has them, each with the key it is about, and return the answers in order.

        Among them are `ResponseError`s. Of commands about one key, none is done behind a later one.

        Raises:
            EngineDown: Redis does not answer. What it was sent may have been done or not.
        """
        self.check()
        if not calls:
            return []
        node = self.nodes.of(calls[0][0].encode())
        answers = self._send(node, [packed for _, packed in calls])
        # None of these was done, and they may be sent again.
        missing = [place for place, answer in enumerate(answers) if _is_missing_function(answer)]
        if missing:
            self._load(node)
            done = {key for place, (key, _) in enumerate(calls) if place > missing[0] and place not in missing}
            if any(calls[place][0] in done for place in missing):
                # Another gateway gave them meanwhile. What is sent now would come behind what was done already.
                raise EngineDown("Redis had just begun anew; only a part was done.")
            again = self._send(node, [calls[place][1] for place in missing])
            for place, answer in zip(missing, again, strict=True):
                answers[place] = answer
        return answers

    def ask(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer.

        Raises:
            EngineUnavailable: Redis does not answer, or refuses.
        """
        (answer,) = self.send([command])
        return _accepted(answer)

    def trouble(self) -> str:
        """Why Redis can't be used, one sentence; empty when it can."""
        try:
            self._ask_all("PING")
        except EngineUnavailable as error:
            return error.message
        return ""

    def version(self) -> tuple[int, ...]:
        """The version of Redis.

        Raises:
            EngineUnavailable: Redis does not answer, or refuses.
        """
        found = [_facts(answer)["redis_version"] for answer in self._ask_all("INFO", "server")]
        return min(tuple(int(part) for part in one.split(".") if part.isdigit()) for one in found)

    def forgets(self) -> str:
        """The policy by which Redis drops keys when its memory is full; empty when it drops none.

        Raises:
            EngineUnavailable: Redis does not answer, or refuses.
        """
        for memory in map(_facts, self._ask_all("INFO", "memory")):
            if int(memory["maxmemory"]) > 0 and memory["maxmemory_policy"] != "noeviction":
                return memory["maxmemory_policy"]
        return ""

    def check_open(self) -> None:
        """Raise EngineUnavailable when the link is closed."""
        if self._closed:
            raise EngineUnavailable("The link to Redis is closed.")

    def check(self) -> None:
        """Raise EngineUnavailable when Redis has just failed, or the link is closed."""
        self.check_open()
        for node in self.nodes.masters():
            node.check()

    def close(self) -> None:
        """Let go of all connections; later calls raise EngineUnavailable. Idempotent."""
        self._closed = True
        self.nodes.close()

    def _ask_all(self, *command: str) -> list[Any]:
        """The answers of all who have keys."""
        self.check_open()
        packed = pack(*command)
        return [_accepted(self._send(node, [packed])[0]) for node in self.nodes.masters()]

    @staticmethod
    def _send(node: Node, commands: list[bytes]) -> list[Any]:
        return node.read(node.write(b"".join(commands)), len(commands))

    def _load(self, node: Node) -> None:
        """Give Redis the functions. Those of another number stay, for gateways of another version."""
        code = files("polyglot_gateway.engine").joinpath("redis_functions.lua").read_text()
        with self._loading:
            answer = self._send(node, [pack("FUNCTION", "LOAD", code)])[0]
            # Another gateway may have been faster. To load them again would begin a new reign.
            if "already exists" not in str(answer):
                _accepted(answer)


def refusal(error: ResponseError) -> str:
    """What Redis said when it refused a command, as a sentence."""
    return f"Redis refuses: {str(error).rstrip('.')}."


def _accepted(answer: Any) -> Any:
    if isinstance(answer, ResponseError):
        raise EngineUnavailable(refusal(answer)) from answer
    return answer


def _facts(info: bytes) -> dict[str, str]:
    """What INFO says."""
    pairs = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, colon, value in pairs if colon}


def _key_of(command: Command) -> str:
    at = 3 if command[0] in ("FCALL", "FCALL_RO") else 1
    return str(command[at]) if len(command) > at else ""


def _is_missing_function(answer: Any) -> bool:
    return isinstance(answer, ResponseError) and "unction not found" in str(answer)
