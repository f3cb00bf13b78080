"""How long a client may take: for its header, for its body, between requests."""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest
from tests.contract.server.malformed import EVENT, HEAD
from tests.raw_http import RawConnection
from tests.serving import Gateway

pytestmark = pytest.mark.slow

HEADER_SECONDS, BODY_SECONDS, IDLE_SECONDS = 10.0, 30.0, 75.0
GUNICORN_IDLE_SECONDS = 5.0
"""gunicorn has one limit for an idle connection and a late header, and says nothing when it is over."""


@contextlib.contextmanager
def takes(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert seconds - 1.5 < time.monotonic() - began < seconds + 6


@pytest.fixture
def patient(server: Gateway) -> Iterator[Callable[[], RawConnection]]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(RawConnection(server.port, patience=100))


@pytest.mark.parametrize("half", [b"G", b"GET /alive HTTP/1.1\r\n", b"GET /alive HTTP/1.1\r\nHost: a\r\nX-A: b\r\n"])
def test_a_late_header(server_name: str, patient: Callable[[], RawConnection], half: bytes) -> None:
    connection = patient().send(half)
    if server_name.startswith("wsgi"):
        with takes(GUNICORN_IDLE_SECONDS):
            assert connection.is_closed()
        return
    with takes(HEADER_SECONDS):
        answer = connection.answer()
    assert (answer.status, answer.json()["code"]) == (408, "request_timeout")
    assert answer.field("connection") == "close"
    assert connection.is_closed()


def test_a_header_that_never_ends_gains_nothing_by_going_on(
    server_name: str, patient: Callable[[], RawConnection]
) -> None:
    limit = GUNICORN_IDLE_SECONDS if server_name.startswith("wsgi") else HEADER_SECONDS
    connection = patient().send(b"GET /alive HTTP/1.1\r\nHost: a\r\n")
    with takes(limit):
        number = 0
        while connection.is_silent(0.5):
            number += 1
            connection.send(b"X-%d: b\r\n" % number)


@pytest.mark.parametrize("begun", [b"", EVENT[:10]])
@pytest.mark.parametrize("length", [b"Content-Length: 42", b"Transfer-Encoding: chunked"])
def test_a_late_body(server_name: str, patient: Callable[[], RawConnection], length: bytes, begun: bytes) -> None:
    if begun and length.startswith(b"T"):
        begun = b"%x\r\n%s\r\n" % (len(begun), begun)
    connection = patient().send(HEAD.replace(b"/malformed/", b"/late/") + length + b"\r\n\r\n" + begun)
    with takes(BODY_SECONDS):
        answer = connection.answer()
    late = (400, "invalid_json") if server_name.startswith("wsgi") else (408, "request_timeout")
    assert (answer.status, answer.json()["code"]) == late
    assert connection.is_closed()


def test_a_body_that_trickles_gains_nothing(patient: Callable[[], RawConnection]) -> None:
    connection = patient().send(HEAD + b"Content-Length: 1000\r\n\r\n")
    with takes(BODY_SECONDS):
        while connection.is_silent(0.5):
            connection.send(b" ")


def test_an_idle_connection_is_closed_without_a_word(server_name: str, patient: Callable[[], RawConnection]) -> None:
    alive = b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n"
    connection = patient().send(alive)
    assert connection.answer().status == 200
    with takes(GUNICORN_IDLE_SECONDS if server_name.startswith("wsgi") else IDLE_SECONDS):
        assert connection.is_closed()


def test_a_connection_on_which_nothing_was_ever_asked(server_name: str, patient: Callable[[], RawConnection]) -> None:
    connection = patient()
    limit = GUNICORN_IDLE_SECONDS if server_name.startswith("wsgi") else IDLE_SECONDS
    began = time.monotonic()
    connection.rest()  # closed with or without a word
    assert time.monotonic() - began < limit + 6
