"""The handoff of a real server, with real connections, and applications made for each test.

The test runs in gevent's loop as a worker does; what a client does runs in a thread beside it.
"""

import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

import gevent
import pytest
from gevent.event import Event
from tests.raw_http import Answer, Closed, RawConnection

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.gateway.tokens import Tokens
from polyglot_gateway.server.handoff import Handoff

GET = b"GET /mine?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
TEXT = [("Content-Type", "text/plain")]
PATIENCE = 20.0

Wsgi = Callable[[dict[str, Any], Any], Any]
Connect = Callable[[], RawConnection]
T = TypeVar("T")


def beside(work: Callable[[], T]) -> T:
    """Do it in a thread while gevent's loop goes on."""
    return gevent.get_hub().threadpool.apply(work)


def wait_until(condition: Callable[[], object]) -> None:
    with gevent.Timeout(PATIENCE):
        while not condition():
            gevent.sleep(0.005)


def ask(connection: RawConnection, request: bytes = GET) -> Answer:
    return beside(lambda: connection.send(request).answer(request.split()[0].decode()))


@pytest.fixture
def serve(engine: EmbeddedEngine) -> Iterator[Callable[[Wsgi], Connect]]:
    """Serves an application, and returns what connects to it."""
    ends: list[Callable[[], None]] = []

    def start(application: Wsgi) -> Connect:
        server = _core.Server(engine.gateway)
        handoff = Handoff(server, application, Tokens(""), {"test.base": "of all", "wsgi.url_scheme": "http"})
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server.start([listener.fileno()])
            port: int = listener.getsockname()[1]
        handoff.start()
        ends.extend((handoff.stop, server.stop))

        def connect() -> RawConnection:
            connection = RawConnection(port)
            ends.insert(0, connection.close)
            return connection

        return connect

    yield start
    for end in ends:
        end()


def test_a_request_reaches_the_application_whole(serve: Callable[[Wsgi], Connect]) -> None:
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        seen["body"] = environ["wsgi.input"].read()
        start_response("201 Created", [*TEXT, ("X-Mine", "1")])
        return [b"made"]

    connect = serve(application)
    request = b"PUT /m%C3%A4in?q=%31 HTTP/1.1\r\nHost: a\r\nX-Two: b\r\nX-Two: c\r\nContent-Length: 4\r\n\r\nbody"
    answer = ask(connect(), request)
    assert (answer.status, answer.body, answer.field("x-mine")) == (201, b"made", "1")
    assert answer.field("content-length") == "4"
    assert (seen["REQUEST_METHOD"], seen["QUERY_STRING"], seen["body"]) == ("PUT", "q=%31", b"body")
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/mäin"
    assert (seen["HTTP_X_TWO"], seen["CONTENT_LENGTH"]) == ("b,c", "4")
    assert (seen["REMOTE_ADDR"], seen["test.base"]) == ("127.0.0.1", "of all")


def test_what_one_request_puts_into_its_environment_is_gone_in_the_next(serve: Callable[[Wsgi], Connect]) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        environ["mine"] = [*environ.get("mine", []), 1]
        return [b"%d" % len(environ["mine"])]

    connection = serve(application)()
    assert [ask(connection).body for _ in range(3)] == [b"1"] * 3


@pytest.mark.parametrize("body", [[], [b""], (), iter([])])
def test_an_empty_body(serve: Callable[[Wsgi], Connect], body: Any) -> None:
    def application(_: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return body

    connection = serve(application)()
    assert (ask(connection).status, ask(connection).body) == (200, b"")


@pytest.mark.parametrize("body", [[b"whole"], [b"wh", b"ole"]])
def test_head_has_the_fields_of_get_and_no_body(serve: Callable[[Wsgi], Connect], body: list[bytes]) -> None:
    def application(_: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", "5")])
        return body

    connection = serve(application)()
    for request, sent in ((HEAD, b""), (GET, b"whole"), (HEAD, b"")):
        answer = ask(connection, request)
        assert (answer.status, answer.field("content-length"), answer.body) == (200, "5", sent)


def test_a_body_in_parts_is_sent_as_it_comes_and_closed_at_its_end(serve: Callable[[Wsgi], Connect]) -> None:
    go_on = Event()
    ended = Event()

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            yield b""  # must not end the chunks
            go_on.wait()
            yield b"second"

        def close(self) -> None:
            ended.set()

    def application(_: dict[str, Any], start_response: Any) -> Body:
        start_response("200 OK", TEXT)
        return Body()

    connection = serve(application)()
    status, fields = beside(lambda: connection.send(GET).head())
    assert (status, dict(fields)["transfer-encoding"]) == (200, "chunked")
    assert beside(connection.chunk) == b"first"
    assert not ended.is_set()
    go_on.set()
    assert [beside(connection.chunk) for _ in range(2)] == [b"second", b""]
    assert ended.wait(PATIENCE)


def test_a_body_of_stated_length_in_parts(serve: Callable[[Wsgi], Connect]) -> None:
    def application(_: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", "6")])
        return [b"abc", b"def"]

    connection = serve(application)()
    for _ in range(2):
        answer = ask(connection)
        assert (answer.body, answer.field("transfer-encoding")) == (b"abcdef", None)


def test_an_application_makes_no_more_than_its_client_reads(serve: Callable[[Wsgi], Connect]) -> None:
    part = bytes(1 << 16)
    made = 0
    ended = Event()

    def application(_: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        nonlocal made
        start_response("200 OK", TEXT)
        try:
            while made < 1000:
                made += 1
                yield part
        finally:
            ended.set()

    connect = serve(application)
    connection = connect()
    beside(lambda: connection.send(GET).head())

    def stands_still() -> bool:
        before = made
        gevent.sleep(0.2)
        return made == before

    wait_until(stands_still)
    assert 0 < made < 1000
    assert not ended.is_set()
    beside(connection.reset)
    assert ended.wait(PATIENCE), "nobody told the application that its client is gone"


def test_what_is_written_goes_before_what_is_returned(serve: Callable[[Wsgi], Connect]) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"written ")
        write(b"twice ")
        return [b"returned"] if environ["QUERY_STRING"] else []

    connection = serve(application)()
    assert ask(connection).body == b"written twice returned"
    assert ask(connection, GET.replace(b"?q=1", b"")).body == b"written twice "


def fails_before(_: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", TEXT)
    raise ValueError("on purpose")


def fails_at_first(_: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    raise ValueError("on purpose")
    yield b""


def says_nothing(_environ: dict[str, Any], _start_response: Any) -> list[bytes]:
    return [b"no status"]


def says_nothing_in_parts(_environ: dict[str, Any], _start_response: Any) -> Iterator[bytes]:
    return iter([b"no ", b"status"])


def says_it_twice(_: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b""]


@pytest.mark.parametrize(
    "application", [fails_before, fails_at_first, says_nothing, says_nothing_in_parts, says_it_twice]
)
def test_an_application_that_fails_is_answered_for(
    serve: Callable[[Wsgi], Connect], logged: list[Any], application: Wsgi
) -> None:
    connection = serve(application)()
    for _ in range(2):
        answer = ask(connection)
        assert (answer.status, answer.field("content-type")) == (500, "application/problem+json")
        assert answer.json()["code"] == "internal_error"
        assert b"on purpose" not in answer.body
    assert [(entry["event"], entry["path"]) for entry in logged] == [("the application failed", "/mine")] * 2


@pytest.mark.parametrize(
    ("status", "field"),
    [
        ("200 OK\r\nX-Evil: 1", ("X-Fine", "1")),
        ("200", ("X-Fine", "1")),
        ("0200 OK", ("X-Fine", "1")),
        ("200 OK", ("X-Value", "a\r\nX-Evil: 1")),
        ("200 OK", ("X-Value", "a\nX-Evil: 1")),
        ("200 OK", ("X-Value", "nul\0")),
        ("200 OK", ("X-Value", "\u2028")),
        ("200 OK", ("X-Evil: 1\r\nX", "1")),
        ("200 OK", ("X Evil", "1")),
        ("200 OK", ("", "1")),
    ],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_what_would_break_out_of_the_head_is_refused(
    serve: Callable[[Wsgi], Connect], logged: list[Any], status: str, field: tuple[str, str], parts: int
) -> None:
    def application(_: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [*TEXT, field])
        return [b"body"] * parts

    answer = ask(serve(application)())
    assert (answer.status, answer.field("x-evil")) == (500, None)
    assert logged


def test_a_failure_after_the_head_is_seen_by_the_client(serve: Callable[[Wsgi], Connect], logged: list[Any]) -> None:
    def application(_: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"begun"
        raise ValueError("on purpose")

    connection = serve(application)()
    with pytest.raises(Closed):
        ask(connection)
    assert len(logged) == 1


@pytest.mark.parametrize("begun", [False, True])
def test_an_error_page_replaces_what_has_not_begun(
    serve: Callable[[Wsgi], Connect], logged: list[Any], begun: bool
) -> None:
    def application(_: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        if begun:
            yield b"begun"
        try:
            raise ValueError("on purpose")
        except ValueError as error:
            start_response("503 Page", TEXT, (type(error), error, error.__traceback__))
        yield b"page"

    connection = serve(application)()
    if begun:
        with pytest.raises(Closed):
            ask(connection)
        assert len(logged) == 1
    else:
        answer = ask(connection)
        assert (answer.status, answer.body, logged) == (503, b"page", [])


def test_requests_that_wait_hold_up_no_others_and_greenlets_are_used_again(serve: Callable[[Wsgi], Connect]) -> None:
    waiting: set[object] = set()
    used: set[object] = set()
    go_on = Event()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        used.add(gevent.getcurrent())
        if environ["QUERY_STRING"]:
            waiting.add(gevent.getcurrent())
            go_on.wait()
        return [b"done"]

    connect = serve(application)
    connections = [connect() for _ in range(20)]
    for connection in connections:
        connection.send(GET)
    wait_until(lambda: len(waiting) == 20)
    other, quick = connect(), GET.replace(b"?q=1", b"")
    assert ask(other, quick).body == b"done"
    go_on.set()
    assert [beside(connection.answer).body for connection in connections] == [b"done"] * 20
    assert [ask(other, quick).status for _ in range(100)] == [200] * 100
    assert len(used) < 30


def test_stopping_ends_what_is_under_way(serve: Callable[[Wsgi], Connect], engine: EmbeddedEngine) -> None:
    begun, ended = Event(), Event()

    def application(_: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        try:
            begun.set()
            gevent.sleep(3600)
            yield b""
        finally:
            ended.set()

    server = _core.Server(engine.gateway)
    handoff = Handoff(server, application, Tokens(""), {})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.start([listener.fileno()])
        handoff.start()
        with RawConnection(listener.getsockname()[1]) as connection:
            connection.send(GET)
            assert begun.wait(PATIENCE)
            handoff.stop()
            handoff.stop()
            assert ended.wait(PATIENCE)
            server.stop()
            assert connection.is_closed()


def test_a_question_is_answered_while_requests_wait(serve: Callable[[Wsgi], Connect], logged: list[Any]) -> None:
    begun, go_on = Event(), Event()

    def application(_: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", TEXT)
        begun.set()
        go_on.wait()
        return [b"done"]

    connect = serve(application)
    waiting = connect().send(GET)
    assert begun.wait(PATIENCE)
    events = b"GET /apps/demo/channels/room:1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\n\r\n"
    answer = ask(connect(), events)
    assert (answer.status, answer.json()["code"], logged) == (401, "unauthorized", [])
    go_on.set()
    assert beside(waiting.answer).body == b"done"


def test_what_the_server_says_is_logged(logged: list[Any]) -> None:
    ours, servers = socket.socketpair()
    failed = {"event": "refused", "code": "internal_error"}
    refused = {"event": "refused", "code": "engine_unavailable", "request_id": "1", "held_back": 3}

    def take(_: dict[str, Any]) -> list[tuple[str, int, Any]]:
        return [("log", int(ours.recv(1)), failed), ("log", 0, refused), ("log", 0, {"event": "the thread failed"})]

    server: Any = SimpleNamespace(fileno=ours.fileno, beat=lambda: None, take=take)
    handoff = Handoff(server, lambda *_: [], Tokens(""), {})
    with ours, servers:
        handoff.start()
        servers.send(b"0")
        wait_until(lambda: logged)
        handoff.stop()
    assert [line.pop("log_level") for line in logged] == ["error", "warning", "error"]
    assert logged == [failed, refused, {"event": "the thread failed"}]
