import io
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.socket
import pytest
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.unreader import SocketUnreader

from polyglot_gateway.errors import InvalidJson, InvalidParameter, PayloadTooLarge
from polyglot_gateway.gateway.body import read_body


class Drip(io.BytesIO):
    """Gives one byte at a time, as a slow connection may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 1))


class Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError("connection reset")


class Greedy(io.BytesIO):
    """Remembers how much was asked for."""

    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        self.asked += size or 0
        return super().read(size)


def declared(body: bytes, length: str | None = None) -> dict[str, Any]:
    return {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)) if length is None else length}


def chunked(stream: io.BytesIO) -> dict[str, Any]:
    return {"wsgi.input": stream, "wsgi.input_terminated": True}


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert read_body(declared(b"x" * 64), 64) == b"x" * 64
    assert read_body(chunked(io.BytesIO(b"x" * 64)), 64) == b"x" * 64


def test_one_byte_more_is_refused() -> None:
    with pytest.raises(PayloadTooLarge, match="64 bytes"):
        read_body(declared(b"x" * 65), 64)
    with pytest.raises(PayloadTooLarge, match="64 bytes"):
        read_body(chunked(io.BytesIO(b"x" * 65)), 64)


def test_a_declared_length_over_the_limit_is_refused_without_reading() -> None:
    stream = Greedy(b"x" * 1000)
    with pytest.raises(PayloadTooLarge):
        read_body({"wsgi.input": stream, "CONTENT_LENGTH": "1000"}, 64)
    assert stream.asked == 0


def test_of_a_chunked_body_no_more_than_one_byte_over_the_limit_is_read() -> None:
    stream = Greedy(b"x" * 1000)
    with pytest.raises(PayloadTooLarge):
        read_body(chunked(stream), 64)
    assert stream.tell() == 65


def test_a_slow_body_is_read_to_its_end() -> None:
    assert read_body({"wsgi.input": Drip(b"hello"), "CONTENT_LENGTH": "5"}, 64) == b"hello"
    assert read_body(chunked(Drip(b"hello")), 64) == b"hello"


def test_what_follows_the_declared_length_is_left_alone() -> None:
    assert read_body(declared(b"hello world", "5"), 64) == b"hello"


def test_a_body_cut_off_is_refused_at_the_place_where_it_ends() -> None:
    with pytest.raises(InvalidJson, match="3 of 10 bytes") as caught:
        read_body(declared(b"abc", "10"), 64)
    assert caught.value.position == 3


@pytest.mark.parametrize("environ", [{"CONTENT_LENGTH": "10"}, {"wsgi.input_terminated": True}])
def test_a_broken_connection_is_refused(environ: dict[str, Any]) -> None:
    with pytest.raises(InvalidJson, match="could not be read"):
        read_body({"wsgi.input": Broken(), **environ}, 64)


@pytest.mark.parametrize("environ", [{}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "0"}])
def test_no_body_is_an_empty_one(environ: dict[str, Any]) -> None:
    assert read_body({"wsgi.input": io.BytesIO(b"not for us"), **environ}, 64) == b""


def test_a_content_length_beyond_all_numbers_is_too_large() -> None:
    with pytest.raises(PayloadTooLarge):
        read_body(declared(b"abc", "1" * 5000), 64)


@pytest.fixture
def connection() -> Iterator[tuple[gevent.socket.socket, gevent.socket.socket]]:
    """The client's end, and the server's."""
    client, server = gevent.socket.socketpair()
    with client, server:
        yield client, server


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_does_not_arrive_is_given_up(
    connection: tuple[gevent.socket.socket, gevent.socket.socket], is_chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyglot_gateway.gateway.body.BODY_SECONDS", 0.1)
    client, server = connection
    server.settimeout(20)
    unreader = SocketUnreader(server)
    reader = ChunkedReader(None, unreader) if is_chunked else LengthReader(unreader, 10)
    environ = {"wsgi.input": Body(reader), "gunicorn.socket": server}
    environ |= {"wsgi.input_terminated": True} if is_chunked else {"CONTENT_LENGTH": "10"}
    client.sendall(b"5\r\nhel")
    with pytest.raises(InvalidJson, match=r"did not arrive within 0\.1 s"):
        read_body(environ, 64)
    server.sendall(b"the answer")
    assert client.recv(64) == b"the answer"


def test_the_deadline_ends_with_the_body(
    connection: tuple[gevent.socket.socket, gevent.socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyglot_gateway.gateway.body.BODY_SECONDS", 0.05)
    client, server = connection
    client.sendall(b"hello")
    environ = {
        "wsgi.input": Body(LengthReader(SocketUnreader(server), 5)),
        "gunicorn.socket": server,
        "CONTENT_LENGTH": "5",
    }
    assert read_body(environ, 64) == b"hello"
    gevent.sleep(0.1)
    client.sendall(b"next")
    assert server.recv(64) == b"next"


@pytest.mark.parametrize("length", ["-1", "1e3", "five", "٣"])
def test_a_content_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(InvalidParameter, match="Content-Length"):
        read_body(declared(b"abc", length), 64)
