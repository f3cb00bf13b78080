"""Peers on loopback that behave as they are told: a raw socket, what it got, and what it does then."""

import contextlib
import json
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from polyglot_gateway.processor.base import Event

PATIENCE = 20.0


def event(number: int = 0, data: bytes = b'{"n":1}', **more: str) -> Event:
    return Event(f"evt_{number}", "demo", "room", "message", data, "2026-01-01T00:00:00.000000Z", **more)


class Peer:
    """Takes connections, each in a thread of its own, and does with it what it was given.

    `got` has what came, as `behave` has put it there; `connections` how many there were.
    """

    def __init__(self, behave: Callable[["Peer", socket.socket], None]) -> None:
        self.got: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self.ended.is_set():
            if select.select([self._listener], [], [], 0.02)[0]:
                connection, _ = self._listener.accept()
                connection.settimeout(PATIENCE)
                self.connections += 1
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.closing(connection), contextlib.suppress(OSError, EOFError):
            self._behave(self, connection)

    def close(self) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()


@contextlib.contextmanager
def unreachable_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that nobody gets through and nobody is refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(contextlib.closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


# HTTP


def read_request(peer: Peer, connection: socket.socket) -> bytes:
    """Wait for a whole request and return its body; the head and the body are in `peer.got`."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += _more(connection)
    peer.got.append(head + b"\r\n\r\n" + body)
    return body


def _more(connection: socket.socket) -> bytes:
    if not (data := connection.recv(1 << 16)):
        raise EOFError
    return data


def http_peer(answer: Callable[[Peer, socket.socket, bytes], None]) -> Peer:
    """Reads requests, and does after each what it is told: `answer(peer, connection, body)`."""

    def behave(peer: Peer, connection: socket.socket) -> None:
        while True:
            answer(peer, connection, read_request(peer, connection))

    return Peer(behave)


def http_answer(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))
    return f"{head}\r\n".encode() + body


def accept_all(_: Peer, connection: socket.socket, body: bytes) -> None:
    """Answers as a good service does that accepts everything."""
    verdicts = [{"id": one["id"], "verdict": "accept"} for one in json.loads(body)["events"]]
    connection.sendall(http_answer(json.dumps({"verdicts": verdicts}).encode()))


def say(*parts: bytes) -> Callable[[Peer, socket.socket, bytes], None]:
    """Sends this, and closes the connection."""

    def answer(_: Peer, connection: socket.socket, __: bytes) -> None:
        for part in parts:
            connection.sendall(part)
        raise EOFError

    return answer


def trickle(beginning: bytes, endless: bytes) -> Callable[[Peer, socket.socket, bytes], None]:
    """Sends a byte every now and then, and never comes to an end."""

    def answer(peer: Peer, connection: socket.socket, _: bytes) -> None:
        connection.sendall(beginning)
        while not peer.ended.wait(0.02):
            connection.sendall(endless)

    return answer


def hang(peer: Peer, *_: object) -> None:
    peer.ended.wait(PATIENCE)


def reset(_: Peer, connection: socket.socket, __: bytes) -> None:
    """Ends the connection as a process does that is gone with its machine."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise EOFError


# HTTP/2, as far as gRPC needs it to believe in a service

_SETTINGS, _GOAWAY, _HEADERS, _DATA, _PING = 4, 7, 1, 0, 6
_END_STREAM = _ACK = 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def goaway(last_stream: int, code: int = 0) -> bytes:
    return frame(_GOAWAY, struct.pack(">II", last_stream, code))


def http2_peer(answer: Callable[[Peer, socket.socket, int], None]) -> Peer:
    """Waits for a whole call on each connection, and does after it what it is told: `answer(peer, connection, stream)`.

    `got` has the message of each call.
    """

    def behave(peer: Peer, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        assert stream.read(len(_PREFACE)) == _PREFACE
        connection.sendall(frame(_SETTINGS))
        message = b""
        while head := stream.read(9):
            payload = stream.read(int.from_bytes(head[:3], "big"))
            kind, flags, number = head[3], head[4], int.from_bytes(head[5:9], "big")
            if kind in (_SETTINGS, _PING) and not flags & _ACK:
                connection.sendall(frame(kind, payload if kind == _PING else b"", _ACK))
            elif kind == _DATA:
                message += payload
                if flags & _END_STREAM:
                    peer.got.append(message[5:])
                    message = b""
                    answer(peer, connection, number)

    return Peer(behave)
