"""Connections: kept, pipelined, closed when it was said, and used again only where a request surely begins."""

import json
import time
from collections.abc import Callable

import pytest
from tests.raw_http import Closed, RawConnection
from tests.serving import Gateway

EVENT = b'{"type":"message","data":{"text":"Hello"}}'
ALIVE = b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n"
FALCON = b"GET /api/debug/circuit-breaker HTTP/1.1\r\nHost: a\r\n\r\n"
NOWHERE = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"


def publish(*lines: bytes, channel: bytes = b"connection", body: bytes = EVENT) -> bytes:
    head = b"POST /apps/demo/channels/%s/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: full-key\r\n" % channel
    fields = lines or (b"Content-Length: %d" % len(body),)
    return head + b"".join(line + b"\r\n" for line in fields) + b"\r\n" + body


def history(channel: bytes = b"connection", query: bytes = b"limit=1000") -> bytes:
    path = b"/apps/demo/channels/%s/history?%s" % (channel, query)
    return b"GET %s HTTP/1.1\r\nHost: a\r\nX-API-Key: full-key\r\n\r\n" % path


@pytest.mark.parametrize("request_", [ALIVE, FALCON, NOWHERE, publish(), publish(body=b"{"), history()])
def test_a_connection_is_kept(raw: RawConnection, request_: bytes) -> None:
    statuses = {raw.send(request_).answer().status for _ in range(5)}
    assert len(statuses) == 1
    assert raw.send(ALIVE).answer().status == 200


def test_a_connection_is_closed_when_the_client_says_so(raw: RawConnection) -> None:
    answer = raw.send(b"GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + ALIVE).answer()
    assert answer.status == 200
    assert answer.field("connection") == "close"
    assert raw.is_closed()


@pytest.mark.parametrize("value", [b"Close", b"keep-alive, close", b"close, te"])
def test_close_is_found_in_any_spelling_and_in_a_list(server_name: str, raw: RawConnection, value: bytes) -> None:
    if server_name.startswith("wsgi") and b"," in value:
        pytest.skip("gunicorn heeds only a Connection field that says nothing else")
    assert raw.send(b"GET /alive HTTP/1.1\r\nHost: a\r\nConnection: %s\r\n\r\n" % value).answer().status == 200
    assert raw.is_closed()


def test_http_1_0_is_closed_unless_the_client_asks_to_keep_it(raw: RawConnection) -> None:
    kept = b"GET /alive HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    for _ in range(2):
        answer = raw.send(kept).answer()
        assert answer.status == 200
        assert answer.field("connection") == "keep-alive"
        assert answer.field("content-length") is not None
    assert raw.send(b"GET /alive HTTP/1.0\r\n\r\n").answer().body == b'{"status":"alive"}'
    assert raw.is_closed()


def test_answers_come_in_the_order_of_the_requests(raw: RawConnection) -> None:
    """Those of Python and those of C++ too, however long each takes."""
    events = [b'{"type":"m","data":%d}' % number for number in range(20)]
    sent = b"".join(FALCON + publish(channel=b"pipelined", body=event) + ALIVE + NOWHERE for event in events)
    raw.send(sent + history(b"pipelined"))
    for number in range(20):
        assert "state" in raw.answer().json()
        assert raw.answer().json()["offset"] == number + 1
        assert raw.answer().json() == {"status": "alive"}
        assert raw.answer().status == 404
    assert [event["data"] for event in raw.answer().json()["events"]] == list(range(20))


def test_pipelined_requests_that_are_split_anywhere(raw: RawConnection) -> None:
    sent = publish(channel=b"split") + ALIVE + FALCON
    for size in (1, 2, 3, 7, 50):
        for start in range(0, len(sent), size):
            raw.send(sent[start : start + size])
        assert [raw.answer().status for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("together", [True, False])
def test_requests_whose_heads_are_nearly_the_same(connect: Callable[[], RawConnection], together: bool) -> None:
    """Each is what it says itself, whatever the one before it said."""
    channel = b"same-%d" % together
    known = publish(channel=channel)
    longer = publish(channel=channel, body=EVENT.replace(b"Hello", b"Hell!!"))
    chunked = publish(b"Transfer-Encoding: chunked", channel=channel, body=b"2a\r\n%s\r\n0\r\n\r\n" % EVENT)
    sent = [
        (known, 200),
        (known, 200),
        (known.replace(b"full-key", b"fool-key"), 401),
        (known, 200),
        (longer, 200),
        (chunked, 200),
        (chunked, 200),
        (known, 200),
        (ALIVE, 200),
        (known, 200),
        (known.replace(EVENT, b"x" * len(EVENT)), 400),
        (publish(channel=b"another-%d" % together), 200),
        (known.replace(b"Content-Length: 42", b"Content-Length: 4x"), 400),
    ]
    connection = connect()
    if together:
        connection.send(b"".join(request for request, _ in sent))
    for number, (request, status) in enumerate(sent):
        if not together:
            for part in (request[:20], request[20:-10], request[-10:]):
                connection.send(part)
        answer = connection.answer()
        assert answer.status == status, number
        # As after a refusal for which the body was not waited.
        if answer.field("connection") == "close":
            assert connection.is_closed()
            connection = connect()
    events = connect().send(history(channel)).answer().json()["events"]
    assert [event["data"]["text"] for event in events] == ["Hello"] * 3 + ["Hell!!"] + ["Hello"] * 4


def test_a_close_ends_a_pipeline(raw: RawConnection) -> None:
    raw.send(ALIVE + publish(b"Connection: close", b"Content-Length: 42", channel=b"ended") + publish(channel=b"ended"))
    assert raw.answer().status == 200
    assert raw.answer().status == 200
    assert raw.is_closed()


def test_what_was_asked_before_the_client_closed_its_side_is_answered(raw: RawConnection) -> None:
    raw.send(ALIVE * 3)
    raw.socket.shutdown(1)
    assert [raw.answer().status for _ in range(3)] == [200, 200, 200]
    assert raw.is_closed()


@pytest.mark.parametrize("path", [b"/alive", b"/ready", b"/metrics", b"/nowhere", b"/apps/demo/channels/head/history"])
def test_head_has_the_fields_of_get_and_no_body(raw: RawConnection, path: bytes) -> None:
    head, get = (b"%s %s HTTP/1.1\r\nHost: a\r\n\r\n" % (method, path) for method in (b"HEAD", b"GET"))
    raw.send(head + get + head + ALIVE)
    answers = [raw.answer(method) for method in ("HEAD", "GET", "HEAD", "GET")]
    assert len({answer.status for answer in answers[:3]}) == 1
    if path != b"/metrics":  # they count what was asked just now
        assert answers[0].field("content-length") == answers[1].field("content-length")
    assert answers[3].json() == {"status": "alive"}


def test_no_content_has_no_length(raw: RawConnection) -> None:
    answer = raw.send(b"OPTIONS /alive HTTP/1.1\r\nHost: a\r\n\r\n" + ALIVE).answer()
    assert answer.status == 204
    assert answer.field("content-length") is None
    assert answer.field("transfer-encoding") is None
    assert raw.answer().status == 200


def test_empty_lines_before_a_request_are_forgiven(server_name: str, raw: RawConnection) -> None:
    """RFC 9112, section 2.2: old clients send one after a body."""
    if server_name.startswith("wsgi"):
        pytest.skip("gunicorn takes an empty line for a request line")
    raw.send(publish() + b"\r\n" + ALIVE)
    assert [raw.answer().status, raw.answer().status] == [200, 200]


@pytest.mark.parametrize("target", [b"http://gateway.example/alive", b"HTTP://a:80/alive?x=1", b"https://a/alive"])
def test_the_absolute_form_of_a_target(server_name: str, raw: RawConnection, target: bytes) -> None:
    assert raw.send(b"GET %s HTTP/1.1\r\nHost: b\r\n\r\n" % target).answer().json() == {"status": "alive"}


def test_options_for_the_server_as_a_whole(raw: RawConnection) -> None:
    assert raw.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").answer().status in (204, 404)
    assert raw.send(ALIVE).answer().status == 200


def test_connect_is_refused(raw: RawConnection) -> None:
    assert raw.send(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").answer().status in (400, 404, 405)


def test_methods_have_one_spelling(server_name: str, raw: RawConnection) -> None:
    answer = raw.send(b"get /alive HTTP/1.1\r\nHost: a\r\n\r\n").answer()
    assert answer.status == (400 if server_name.startswith("wsgi") else 405)


def test_an_upgrade_that_nobody_offers_is_left_aside(raw: RawConnection) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    answer = raw.send(b"GET /alive HTTP/1.1\r\nHost: a\r\n%s\r\n" % upgrade).answer()
    assert answer.json() == {"status": "alive"}


@pytest.mark.parametrize("value", ["é", "ключ", "\x80\xff"])
def test_field_values_outside_ascii_are_taken(raw: RawConnection, value: str) -> None:
    sent = value.encode("latin-1" if value.isascii() or max(value) < "\u0100" else "utf-8")
    assert raw.send(b"GET /alive HTTP/1.1\r\nHost: a\r\nX-Name: %s\r\n\r\n" % sent).answer().status == 200


def test_the_largest_head_that_is_taken(raw: RawConnection) -> None:
    target = b"/alive?" + b"a" * (4094 - len(b"GET /alive? HTTP/1.1"))
    lines = [b"X-%d: b" % number for number in range(62)] + [b"X-Long: " + b"b" * 8000]
    head = b"GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % (target, b"\r\n".join(lines))
    assert raw.send(head).answer().status == 200
    assert raw.send(ALIVE).answer().status == 200


def test_dates_are_of_now_and_the_server_has_a_name(raw: RawConnection) -> None:
    answer = raw.send(ALIVE).answer()
    sent = time.mktime(time.strptime(answer.field("date") or "", "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    assert abs(sent - time.time()) < 5
    assert answer.field("server")


def test_a_connection_serves_thousands_of_requests(server: Gateway, raw: RawConnection) -> None:
    for _ in range(20):
        raw.send(publish(channel=b"thousands") * 100)
        offsets = [json.loads(raw.answer().body)["offset"] for _ in range(100)]
    assert offsets[-1] == 2000
    assert server.is_ready()


def test_nothing_comes_unasked(raw: RawConnection) -> None:
    raw.send(ALIVE).answer()
    raw.socket.shutdown(1)
    with pytest.raises(Closed) as closed:
        raw.answer()
    assert closed.value.args[0] == b""
