import io
from typing import Any

import pytest

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


@pytest.mark.parametrize("length", ["-1", "1e3", "five", "٣"])
def test_a_content_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(InvalidParameter, match="Content-Length"):
        read_body(declared(b"abc", length), 64)
