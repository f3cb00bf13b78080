"""Requests as they are sent to both servers, and their answers without what differs from server to server."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.raw_http import Answer, RawConnection

EVENT = b'{"type":"message","data":{"text":"Hello"}}'
ROOM = "{room}"
"""Stands in a request for a channel that no other case uses."""

_VARIES = re.compile(
    r"(?P<id>evt_[0-9A-HJKMNP-TV-Z]{26})"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"
    r'|(?<="epoch":")(?P<epoch>[0-9a-f]{16})(?=")'
    r'|(?<="epoch": ")(?P<spaced_epoch>[0-9a-f]{16})(?=")'
    r"|(?<=id: )(?P<stream_epoch>[0-9a-f]{16})(?=:)"
    r"|(?<![0-9a-f])(?P<request_id>[0-9a-f]{32})(?![0-9a-f])"
)
_OF_THE_CONNECTION = {"date", "server", "connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    """One request, and what every server answers to it.

    Attributes:
        method: As it is sent.
        target: As it is sent; `{room}` is replaced, and so is `{epoch}` by the epoch that the case saw last.
        status: Of the answer.
        code: Of the problem in the answer; "" for an answer that is none.
        fields: Beyond Host, and Content-Length where there is a body.
        body: None for no body and no Content-Length; as a list it is sent in these chunks.
    """

    method: str
    target: str
    status: int = 200
    code: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes | Sequence[bytes] | None = None

    def encode(self, room: str, epoch: str) -> bytes:
        body = self.body
        target = self.target.replace(ROOM, room).replace("{epoch}", epoch)
        lines = [f"{self.method} {target} HTTP/1.1", "Host: gateway.example"]
        lines += [f"{name}: {value.replace('{epoch}', epoch)}" for name, value in self.fields]
        sent = b""
        if isinstance(body, bytes):
            sent = body.replace(ROOM.encode(), room.encode())
            lines.append(f"Content-Length: {len(sent)}")
        elif body is not None:
            sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in body) + b"0\r\n\r\n"
            lines.append("Transfer-Encoding: chunked")
        return "\r\n".join((*lines, "", "")).encode("utf-8") + sent


@dataclass(frozen=True)
class Case:
    """Requests that are sent one after the other, in a channel of their own."""

    name: str
    requests: tuple[Request, ...] = field(default=())

    def __str__(self) -> str:
        return self.name


def case(name: str, *requests: Request) -> Case:
    return Case(name, requests)


@dataclass
class Renamed:
    """Gives each value that varies a name, by the order in which it is seen; equal values have the same one."""

    names: dict[str, str] = field(default_factory=dict)
    epoch: str = "0" * 16

    def text(self, text: str) -> str:
        return _VARIES.sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        kind = (found.lastgroup or "").removeprefix("spaced_").removeprefix("stream_")
        if kind == "epoch":
            self.epoch = found[0]
        return self.names.setdefault(found[0], f"<{kind} {len(self.names)}>")


def comparable(answer: Answer, renamed: Renamed) -> tuple[int, list[tuple[str, str]], str]:
    """What has to be the same: status, fields and body."""
    body = renamed.text(answer.body.decode())
    fields = sorted((name, renamed.text(value)) for name, value in answer.fields if name not in _OF_THE_CONNECTION)
    return answer.status, fields, body


def run(case: Case, port: int) -> list[tuple[int, list[tuple[str, str]], str]]:
    """Send the case's requests, each on a connection of its own, and check what each answer has to be."""
    room = f"case:{re.sub(r'[^a-z0-9]+', '-', case.name.lower())[:60]}-{zlib.crc32(case.name.encode()):08x}"
    renamed = Renamed()
    answers = []
    for request in case.requests:
        with RawConnection(port) as connection:
            answer = connection.send(request.encode(room, renamed.epoch)).answer(request.method)
        assert answer.status == request.status, (request, answer)
        if request.code:
            assert answer.field("content-type") == "application/problem+json", (request, answer)
            assert request.method == "HEAD" or answer.json()["code"] == request.code, (request, answer)
        answers.append(comparable(answer, renamed))
    return answers
