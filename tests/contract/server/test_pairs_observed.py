"""What both servers say about themselves, and what they stream: compared as far as it does not speak of one of them."""

import json
from collections.abc import Callable

import pytest
from tests.contract.server.cases_publish import history, publish
from tests.contract.server.exchange import Renamed, case, run
from tests.raw_http import RawConnection
from tests.serving import Gateway

TOKENS = ("data", "event", "id", "retry", ":")


def ask(gateway: Gateway, target: str, *fields: str) -> RawConnection:
    head = "\r\n".join((f"GET {target} HTTP/1.1", "Host: gateway.example", "X-API-Key: full-key", *fields, "", ""))
    return RawConnection(gateway.port).send(head.encode())


def stream_until(gateway: Gateway, target: str, end: str, *fields: str) -> tuple[int, list[tuple[str, str]], str]:
    """Status, fields and text of a stream, until it has said `end` and ended that block."""
    with ask(gateway, target, *fields) as connection:
        status, found = connection.head()
        text = ""
        while end not in text or not text.endswith("\n\n"):
            part = connection.chunk()
            assert part, f"the stream ended after {text!r}"
            text += part.decode()
    renamed = Renamed()
    return (
        status,
        sorted(field for field in found if field[0] not in ("date", "server", "connection", "x-request-id")),
        renamed.text(text),
    )


def both(server: Gateway, reference: Gateway, look: Callable[[Gateway], object]) -> None:
    assert look(server) == look(reference)


@pytest.mark.parametrize("query", ["?since=0", "?since=2", "?since=0&key=reader-key"])
def test_a_stream_gives_what_was_published(server: Gateway, reference: Gateway, query: str) -> None:
    events = [
        publish(channel="stream:a", body=b'{"type":"t\\n","data":"%d \\n \xd0\xba"}' % number) for number in range(4)
    ]
    forget = history(channel="stream:a")

    def look(gateway: Gateway) -> object:
        gateway.request("DELETE", "/apps/demo/channels/stream:a/history", headers={"X-API-Key": "full-key"})
        run(case("stream", *events, forget), gateway.port)
        return stream_until(gateway, f"/apps/demo/channels/stream:a/events{query}", '"offset":4}')

    both(server, reference, look)


def test_a_stream_that_resumes_after_what_is_gone_tells_of_the_gap(server: Gateway, reference: Gateway) -> None:
    def look(gateway: Gateway) -> object:
        run(case("short", *(publish(channel="short:s") for _ in range(6))), gateway.port)
        return stream_until(gateway, "/apps/demo/channels/short:s/events?since=1", '"offset":6}')

    both(server, reference, look)


def test_a_stream_gives_what_comes_later(server: Gateway) -> None:
    with ask(server, "/apps/demo/channels/later:a/events") as connection:
        status, fields = connection.head()
        assert (status, dict(fields)["content-type"]) == (200, "text/event-stream")
        run(case("later", publish(channel="later:a", body=b'{"type":"m","data":"late"}')), server.port)
        text = ""
        while '"late"' not in text:
            text += connection.chunk().decode()


@pytest.mark.parametrize(
    ("target", "fields", "status", "code"),
    [
        ("stream:b/events?since=x", (), 400, "invalid_parameter"),
        ("stream:b/events?since=1&since=2", (), 400, "invalid_parameter"),
        ("stream:b/events?key=a&key=b", (), 400, "invalid_parameter"),
        ("stream:b/events", ("Last-Event-ID: 7",), 400, "invalid_parameter"),
        ("stream:b/events", ("Last-Event-ID: zzzzzzzzzzzzzzzz:7",), 400, "invalid_parameter"),
        ("a+b/events", (), 400, "invalid_channel"),
    ],
)
def test_a_stream_that_cannot_begin(
    server: Gateway, reference: Gateway, target: str, fields: tuple[str, ...], status: int, code: str
) -> None:
    def look(gateway: Gateway) -> object:
        with ask(gateway, f"/apps/demo/channels/{target}", *fields) as connection:
            answer = connection.answer()
        assert (answer.status, answer.json()["code"]) == (status, code)
        return answer.json()["error"], answer.field("content-type"), answer.field("content-length")

    both(server, reference, look)


def test_health_has_the_same_members(server: Gateway, reference: Gateway) -> None:
    def look(gateway: Gateway) -> object:
        with ask(gateway, "/health") as connection:
            answer = connection.answer()
        return answer.status, answer.field("content-type"), list(json.loads(answer.body))

    both(server, reference, look)


@pytest.mark.parametrize("accept", ["", "text/plain", "application/openmetrics-text; version=1.0.0"])
def test_metrics_have_the_same_families(server: Gateway, reference: Gateway, accept: str) -> None:
    def look(gateway: Gateway) -> object:
        with ask(gateway, "/metrics", f"Accept: {accept}") as connection:
            answer = connection.answer()
        families = [line for line in answer.body.decode().splitlines() if line.startswith("# ")]
        assert families
        return answer.status, answer.field("content-type"), families

    both(server, reference, look)


def test_every_refusal_is_counted(server: Gateway) -> None:
    def counted() -> float:
        with ask(server, "/metrics") as connection:
            lines = connection.answer().body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if 'code="invalid_json"' in line)

    before = counted()
    run(case("counted", *(publish(400, "invalid_json", body=b"{") for _ in range(5))), server.port)
    assert counted() == before + 5
