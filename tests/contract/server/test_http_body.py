"""Bodies: chunked or counted, in any pieces, asked for by 100-continue, or refused before they come."""

import json
from collections.abc import Callable

import pytest
from tests.contract.server.malformed import EVENT, HEAD
from tests.raw_http import Closed, RawConnection

ALIVE = b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
PUBLISH = HEAD.replace(b"/malformed/", b"/bodies/")
OTHER_ROUTES = [b"/apps/demo/publish", b"/apps/demo/broadcast"]


def post(*lines: bytes, body: bytes = b"", head: bytes = PUBLISH) -> bytes:
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunks(*parts: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    sized = b"".join(b"%X%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return sized + b"0" + extension + b"\r\n" + trailer + b"\r\n"


@pytest.mark.parametrize(
    "body",
    [
        chunks(EVENT),
        chunks(EVENT[:1], EVENT[1:]),
        chunks(*(bytes([byte]) for byte in EVENT)),
        chunks(EVENT, extension=b";name"),
        chunks(EVENT, extension=b';name="a value; \\" of any kind"'),
        chunks(EVENT, extension=b" ; a=b ; c"),
        chunks(EVENT, trailer=b"X-Checksum: 1\r\nX-More: 2\r\n"),
        b"00000" + chunks(EVENT),
        b"2a\r\n" + EVENT + b"\r\n00000\r\n\r\n",
    ],
)
def test_chunks_of_any_form(raw: RawConnection, body: bytes) -> None:
    raw.send(post(CHUNKED, body=body) + ALIVE)
    assert raw.answer().status == 200
    assert raw.answer().json() == {"status": "alive"}


def test_chunks_that_are_split_at_every_byte(connect: Callable[[], RawConnection]) -> None:
    request = post(CHUNKED, body=chunks(EVENT[:10], EVENT[10:], extension=b";a=b", trailer=b"X-A: b\r\n"))
    connection = connect()
    for split in range(1, len(request)):
        connection.send(request[:split])
        connection.send(request[split:])
        assert connection.answer().status == 200, split


def test_a_trailer_is_no_header(raw: RawConnection) -> None:
    raw.send(post(CHUNKED, body=chunks(EVENT, trailer=b"X-Request-ID: from-the-trailer\r\n")))
    assert raw.answer().field("x-request-id") != "from-the-trailer"


def test_the_coding_is_found_in_any_spelling(raw: RawConnection) -> None:
    assert raw.send(post(b"transfer-ENCODING:  Chunked ", body=chunks(EVENT))).answer().status == 200


@pytest.mark.parametrize("lines", [(b"Content-Length: 42",), (CHUNKED,)])
def test_a_body_is_asked_for_only_when_it_is_wanted(raw: RawConnection, lines: tuple[bytes, ...]) -> None:
    body = EVENT if CHUNKED not in lines else chunks(EVENT)
    raw.send(post(*lines, b"Expect: 100-Continue"))
    assert raw.answer().status == 100
    assert raw.send(body).answer().status == 200


REFUSED = [
    (post(b"Content-Length: 42", head=PUBLISH.replace(b"full-key", b"no-key")), 401),
    (post(b"Content-Length: 42", head=PUBLISH.replace(b"full-key", b"reader-key")), 403),
    (post(b"Content-Length: 42", head=PUBLISH.replace(b"/bodies/", b"/a+b/")), 400),
    (post(b"Content-Length: 1000000"), 413),
]


@pytest.mark.parametrize(("head", "status"), REFUSED)
def test_a_refused_request_is_answered_before_its_body(
    server_name: str, raw: RawConnection, head: bytes, status: int
) -> None:
    raw.send(head[:-2] + b"Expect: 100-continue\r\n\r\n")
    answer = raw.answer()
    if server_name.startswith("wsgi"):  # gunicorn asks for every body, and then the gateway refuses it unread
        assert answer.status == 100
        answer = raw.answer()
    assert answer.status == status


@pytest.mark.parametrize(("head", "status"), REFUSED)
def test_a_body_that_was_not_read_is_not_taken_for_a_request(raw: RawConnection, head: bytes, status: int) -> None:
    """Either the connection is closed, or the body is read and dropped."""
    raw.send(head)
    assert raw.answer().status == status
    raw.send(b"GET /alive HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20 + b"\r\n\r\n")
    try:
        answer = raw.answer()
    except (Closed, OSError):
        return
    assert answer.status != 200, "the body was taken for a request"


def test_an_unknown_expectation_is_refused_or_left_aside(raw: RawConnection) -> None:
    assert raw.send(post(b"Content-Length: 42", b"Expect: a-miracle", body=EVENT)).answer().status in (200, 417)


def test_http_1_0_expects_nothing(raw: RawConnection) -> None:
    request = post(b"Content-Length: 42", b"Expect: 100-continue", body=EVENT).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert raw.send(request).answer().status == 200


def test_a_body_that_came_with_its_head_is_not_asked_for(server_name: str, raw: RawConnection) -> None:
    raw.send(post(b"Content-Length: 42", b"Expect: 100-continue", body=EVENT))
    statuses = [raw.answer().status]
    if statuses[0] == 100:  # allowed (RFC 9110, section 10.1.1), and gunicorn always does it
        assert server_name.startswith("wsgi")
        statuses.append(raw.answer().status)
    assert statuses[-1] == 200


@pytest.mark.parametrize("path", OTHER_ROUTES)
def test_the_largest_batch_is_read_and_one_byte_more_is_not(raw: RawConnection, path: bytes) -> None:
    head = PUBLISH.replace(b"/apps/demo/channels/bodies/publish", path)
    assert (
        raw.send(post(b"Content-Length: 8192", body=b" " * 8192, head=head)).answer().json()["code"] == "invalid_json"
    )
    whole = post(CHUNKED, body=chunks(b" " * 8000, b" " * 192), head=head)
    assert raw.send(whole).answer().json()["code"] == "invalid_json"
    assert raw.send(post(b"Content-Length: 8193", head=head)).answer().status == 413


def test_a_body_that_ends_early_leaves_nothing(connect: Callable[[], RawConnection]) -> None:
    for request in (post(b"Content-Length: 42", body=EVENT[:-1]), post(CHUNKED, body=chunks(EVENT)[:-2])):
        connection = connect()
        connection.send(request.replace(b"/bodies/", b"/early/"))
        connection.socket.shutdown(1)
        assert connection.status_or_end() in (400, None)
    history = b"GET /apps/demo/channels/early/history HTTP/1.1\r\nHost: a\r\nX-API-Key: full-key\r\n\r\n"
    assert json.loads(connect().send(history).answer().body)["count"] == 0


def test_a_get_may_have_a_body_which_is_dropped(raw: RawConnection) -> None:
    raw.send(b"GET /alive HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + ALIVE)
    assert [raw.answer().status, raw.answer().status] == [200, 200]
    raw.send(b"GET /alive HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hello") + ALIVE)
    assert [raw.answer().status, raw.answer().status] == [200, 200]
