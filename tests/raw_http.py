"""HTTP/1.1 as bytes: a client that sends anything at all, and reads answers without forgiving them anything."""

import contextlib
import json
import re
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

PATIENCE = 20.0

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [\t\x20-\x7e]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")


class Closed(Exception):
    """The server closed the connection in place of an answer; `args[0]` is what came before."""


@dataclass(frozen=True)
class Answer:
    """One answer; names of fields are in lower case, in the order in which they came."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def field(self, name: str) -> str | None:
        """The value of a field that may be there once."""
        values = [value for key, value in self.fields if key == name]
        assert len(values) < 2, f"{name} is sent {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


class RawConnection:
    """A connection to 127.0.0.1:`address`, or to the Unix socket that `address` names."""

    def __init__(self, address: int | str, patience: float = PATIENCE) -> None:
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(patience)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(("127.0.0.1", address), timeout=patience)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> Self:
        """Send all of it; what the server no longer wants to hear is not sent, its answer may be there already."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)
        return self

    def answer(self, to: str = "GET") -> Answer:
        """Read the next answer to a request of the method `to`, also an interim one (100).

        Raises:
            Closed: The server closed the connection before or in the middle of it.
        """
        status, fields = self.head()
        found = dict(fields)
        if to == "HEAD" or status < 200 or status in (204, 304):
            body = b""
        elif found.get("transfer-encoding") == "chunked":
            assert "content-length" not in found
            body = self._chunks()
        elif "content-length" in found:
            body = self._take(int(found["content-length"]))
        else:
            body = self.rest()
        return Answer(status, fields, body)

    def status_or_end(self) -> int | None:
        """The status of the next answer; None when the server closes the connection without a word."""
        try:
            return self.answer().status
        except Closed as closed:
            if closed.args[0]:
                raise
            return None

    def head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Read the status and the fields of the next answer, and nothing of its body."""
        line, *lines = self._take_to(b"\r\n\r\n").split(b"\r\n")
        status = _STATUS_LINE.fullmatch(line)
        assert status, f"{line!r} is no status line"
        fields = []
        for text in lines:
            field = _FIELD.fullmatch(text)
            assert field, f"{text!r} is no header field"
            fields.append((field[1].decode().lower(), field[2].decode("latin-1")))
        return int(status[1]), tuple(fields)

    def chunk(self) -> bytes:
        """Read one chunk of a chunked body; b"" is the last one."""
        size = int(self._take_to(b"\r\n").partition(b";")[0], 16)
        if size == 0:
            assert self._take_to(b"\r\n") == b"", "nobody asked for a trailer"
            return b""
        data = self._take(size)
        assert self._take(2) == b"\r\n"
        return data

    def rest(self) -> bytes:
        """Read until the server closes the connection."""
        while self._receive():
            pass
        rest, self._read = self._read, b""
        return rest

    def is_closed(self) -> bool:
        """Wait until the server closes the connection; false when it says anything before that."""
        return not self._read and not self._receive()

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes, and the connection stays open, for that long."""
        self.socket.settimeout(seconds)
        try:
            if not self._read:
                self._receive()
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Close with RST: what is under way in either direction is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _chunks(self) -> bytes:
        return b"".join(iter(self.chunk, b""))

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            if not self._receive():
                raise Closed(self._read)
        data, self._read = self._read[:size], self._read[size:]
        return data

    def _take_to(self, end: bytes) -> bytes:
        while end not in self._read:
            if not self._receive():
                raise Closed(self._read)
        data, _, self._read = self._read.partition(end)
        return data

    def _receive(self) -> bool:
        """Read what has come; false when the connection is closed."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        self._read += data
        return bool(data)
