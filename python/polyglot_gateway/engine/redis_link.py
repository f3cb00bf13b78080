"""The link to Redis: sends commands once, and the functions they need, and says why there is no answer."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError, TryAgainError

from polyglot_gateway.engine.redis_nodes import Node, OneRedis, pack
from polyglot_gateway.engine.redis_url import nodes_at
from polyglot_gateway.engine.redis_wire import REPLICA, NotServing, Wire
from polyglot_gateway.errors import EngineDown, EngineUnavailable

AT_ONCE = 32
"""Readers that ask Redis at a time, each over a connection of its own; more wait their turn."""

OLDEST_REDIS = (7, 0, 0)
"""The first with functions."""

LIBRARY = "polyglot_2"
"""The library of functions in redis_functions.lua."""

MOST_TRIES = 6
"""So often one command is sent while nodes without doing it send it elsewhere, or lack the functions."""

_ASKING = pack("ASKING")
_PING_AND_HELLO = pack("PING") + pack("HELLO")

Command = Sequence[bytes | str | int]


class NoAnswer(ResponseError):
    """Stands for the answer of a node that does not answer while others do; what it was sent may have been done."""


class Lent(NamedTuple):
    """A wire, and who takes it back."""

    node: Node
    wire: Wire


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
                sentinel://[user:password@]host:port[,host:port…]/master, by which Sentinels say where the master is, or
                cluster://[user:password@]host:port[,host:port…], clusters:// with TLS, by some nodes of a cluster.

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

    def send_packed(self, calls: Sequence[tuple[str, bytes]], answered: Sequence[Any] = ()) -> list[Any]:
        """Send commands as RESP has them, each with the key it is about, and return the answers in order.

        Among them are `ResponseError`s, also for what a node of a cluster did not answer: see `refused`. Of commands
        about one key, none is done behind a later one.

        Args:
            calls: The keys and the commands.
            answered: What was answered, when they were sent once before.

        Raises:
            EngineDown: Nothing was answered. It may have been done or not.
        """
        if not answered:
            self.check()
        answers: list[Any] = [*answered] or [None] * len(calls)
        elsewhere: dict[int, Node] = {}  # for once, as ASK has it
        places = list(range(len(calls)))
        for turn in range(MOST_TRIES):
            if answered and turn == 0:
                nodes = {place: self.nodes.of(calls[place][0].encode()) for place in places}
            else:
                nodes = self._exchange(calls, places, elsewhere, answers)
            places = self._not_done(calls, nodes, elsewhere, answers)
            if not places:
                break
        for place in places:
            answers[place] = NoAnswer("Redis is being changed: its nodes send each other what is asked.")
        if answers and all(isinstance(answer, NoAnswer) for answer in answers):
            raise EngineDown(str(answers[0]))
        return answers

    def ask(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer.

        Raises:
            EngineUnavailable: Redis does not answer, or refuses.
        """
        (answer,) = self.send([command])
        return _accepted(answer)

    def trouble(self) -> str:
        """Why Redis can't be used, one sentence; empty when it can.

        While one master of a cluster answers, the channels that it has can be served.
        """
        trouble = "Redis has no master."
        for node in self.nodes.masters():
            try:
                self.check_open()
                self._check_serving(node)
            except EngineUnavailable as error:
                trouble = error.message
            else:
                return ""
        return trouble

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

    def lend(self) -> Lent | None:
        """A wire over which somebody asks and waits by himself; None where there can be none.

        Raises:
            EngineDown: Redis does not answer.
        """
        if not isinstance(self.nodes, OneRedis):
            return None  # a cluster sends everybody to and fro
        (node,) = self.nodes.masters()
        wire = node.lend()
        return None if wire is None else Lent(node, wire)

    def check_open(self) -> None:
        """Raise EngineUnavailable when the link is closed."""
        if self._closed:
            raise EngineUnavailable("The link to Redis is closed.")

    def check(self) -> None:
        """Raise EngineUnavailable when Redis has just failed, or the link is closed."""
        self.check_open()
        troubles = [node.trouble() for node in self.nodes.masters()]
        if all(troubles):
            raise EngineDown(troubles[0])

    def close(self) -> None:
        """Let go of all connections; later calls raise EngineUnavailable. Idempotent."""
        self._closed = True
        self.nodes.close()

    def _ask_all(self, *command: str) -> list[Any]:
        """The answers of all who have keys."""
        self.check_open()
        packed = pack(*command)
        return [_accepted(self._send(node, packed)) for node in self.nodes.masters()]

    @staticmethod
    def _send(node: Node, packed: bytes) -> Any:
        return node.read(node.write(packed), 1)[0]

    @staticmethod
    def _check_serving(node: Node) -> None:
        """Raise EngineUnavailable when it takes nothing; a replica answers PING all the same."""
        pong, about = node.read(node.write(_PING_AND_HELLO), 2)
        if not isinstance(about, ResponseError) and b"replica" in about:  # as its role
            pong = NotServing(REPLICA)
        if isinstance(pong, NotServing):
            node.gave_way(pong)
        _accepted(pong)

    def _exchange(
        self, calls: Sequence[tuple[str, bytes]], places: list[int], elsewhere: dict[int, Node], answers: list[Any]
    ) -> dict[int, Node]:
        """Send what stands at these places, in one write to each node, and write down the answers.

        Returns:
            Who answered what.
        """
        of_nodes: dict[Node, list[int]] = {}
        for place in places:
            try:
                node = elsewhere.get(place) or self.nodes.of(calls[place][0].encode())
            except EngineDown as error:
                answers[place] = NoAnswer(error.message)
            else:
                of_nodes.setdefault(node, []).append(place)
        sent = []
        answered: dict[int, Node] = {}
        try:
            for node, of_node in of_nodes.items():
                packed = [_ASKING + calls[place][1] if place in elsewhere else calls[place][1] for place in of_node]
                try:
                    sent.append((node, of_node, node.write(b"".join(packed))))
                except EngineDown as error:
                    _fill(answers, of_node, error)
            while sent:
                node, of_node, wire = sent.pop()
                asked = sum(place in elsewhere for place in of_node)
                try:
                    found = iter(node.read(wire, len(of_node) + asked))
                except EngineDown as error:
                    _fill(answers, of_node, error)
                    continue
                for place in of_node:
                    if place in elsewhere:
                        next(found)  # of ASKING
                    answers[place] = next(found)
                    answered[place] = node
        finally:
            for node, _, wire in sent:
                node.drop(wire)
        return answered

    def _not_done(
        self, calls: Sequence[tuple[str, bytes]], nodes: dict[int, Node], elsewhere: dict[int, Node], answers: list[Any]
    ) -> list[int]:
        """The places of what was not done and may be sent again; sees to it that it then can be done."""
        again: list[int] = []
        done: set[str] = set()
        lacking: set[Node] = set()
        for place in sorted(nodes, reverse=True):
            key, answer, node = calls[place][0], answers[place], nodes[place]
            if isinstance(answer, AskError):
                target = self.nodes.moved(answer, node)
                retry = target is not None
                elsewhere.pop(place, None)
                if target is not None and not isinstance(answer, MovedError):
                    elsewhere[place] = target
            elif isinstance(answer, ResponseError) and "unction not found" in str(answer):
                retry = True
                lacking.add(node)
            else:
                retry = False
                self._take_note(answer, node)
            if not retry:
                done.add(key)
            elif key in done:
                # What is sent now would come behind what was done already.
                answers[place] = NoAnswer("Redis was just changed; only a part was done.")
            else:
                again.append(place)
        for node in lacking:
            trouble = self._load(node)
            if trouble is not None:
                for place in [place for place in again if nodes[place] is node]:
                    answers[place] = trouble
                    again.remove(place)
        return again[::-1]

    def _take_note(self, answer: Any, node: Node) -> None:
        """See to it that another that may have taken over is found."""
        if isinstance(answer, ClusterDownError):
            self.nodes.doubt()  # it lost the others
        elif isinstance(answer, NotServing):
            node.gave_way(answer)

    def _load(self, node: Node) -> ResponseError | None:
        """Give it the functions; those of another number stay, for gateways of another version. Returns why it failed.

        A new master may lack them, whatever the others have.
        """
        code = files("polyglot_gateway.engine").joinpath("redis_functions.lua").read_text()
        with self._loading:
            try:
                answer = self._send(node, pack("FUNCTION", "LOAD", code))
            except EngineDown as error:
                return NoAnswer(error.message)
        # Another gateway may have been faster. To load them again would begin a new reign.
        return answer if isinstance(answer, ResponseError) and "already exists" not in str(answer) else None


def refusal(error: ResponseError) -> str:
    """What Redis said when it refused a command, as a sentence."""
    if isinstance(error, NoAnswer | NotServing):
        return str(error)
    if isinstance(error, AskError):
        return "Redis is a node of a cluster: its URL has to begin with cluster:// or clusters://."
    return f"Redis refuses: {str(error).rstrip('.')}."


def refused(error: ResponseError) -> EngineUnavailable:
    """What to raise for a command that Redis refused."""
    down = isinstance(error, NoAnswer | NotServing | ClusterDownError | TryAgainError)
    return (EngineDown if down else EngineUnavailable)(refusal(error))


def _accepted(answer: Any) -> Any:
    if isinstance(answer, ResponseError):
        raise refused(answer) from answer
    return answer


def _fill(answers: list[Any], places: list[int], error: EngineDown) -> None:
    for place in places:
        answers[place] = NoAnswer(error.message)


def _facts(info: bytes) -> dict[str, str]:
    """What INFO says."""
    pairs = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, colon, value in pairs if colon}


def _key_of(command: Command) -> str:
    at = 3 if command[0] in ("FCALL", "FCALL_RO") else 1
    return str(command[at]) if len(command) > at else ""
