"""What the limits of an app refuse, and what publishers are told of them: the same from both servers."""

import json
import re
from typing import Any

import pytest
from tests.raw_http import Answer, RawConnection
from tests.serving import Gateway, wait_until

EVENT = {"type": "t", "data": 1}


def send(gateway: Gateway, method: str, app: str, path: str, body: object = None, kind: str = "json") -> Answer:
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    lines = (
        f"{method} /apps/{app}/{path} HTTP/1.1",
        "Host: gateway.example",
        f"X-API-Key: {app}-key",
        f"Content-Type: application/{kind}",
        f"Content-Length: {len(text)}",
    )
    with RawConnection(gateway.port) as connection:
        return connection.send("\r\n".join((*lines, "", text)).encode()).answer(method)


def publish(gateway: Gateway, app: str, channel: str = "room") -> Answer:
    return send(gateway, "POST", app, f"channels/{channel}/publish", EVENT)


def batch(gateway: Gateway, app: str, *channels: str) -> Answer:
    return send(gateway, "POST", app, "publish", {"events": [{"channel": channel, **EVENT} for channel in channels]})


def told(answer: Answer) -> tuple[Any, ...]:
    """What has to be the same: all that does not depend on the time."""
    problem = answer.json() if answer.status >= 400 else {}
    error = re.sub(r"in \d+ s", "in N s", problem.get("error", ""))
    limit = re.sub(r";[rt]=\d+", "", answer.field("ratelimit") or "")
    names = sorted(name for name, _ in answer.fields if name not in ("connection", "server", "keep-alive"))
    return answer.status, names, answer.field("ratelimit-policy"), limit, problem.get("code"), error


@pytest.fixture(scope="session")
def rated(server: Gateway, reference: Gateway) -> list[tuple[Answer, ...]]:
    """The answers of both to publishers of an app that may publish 60 events at once."""

    def ask(gateway: Gateway) -> tuple[Answer, ...]:
        lines = "".join(json.dumps({"channel": "room", **EVENT}) + "\n" for _ in range(50))
        return (
            publish(gateway, "rated"),
            batch(gateway, "rated", *["room"] * 61),
            batch(gateway, "rated", *["room"] * 58),
            batch(gateway, "rated", *["other"] * 50),
            send(gateway, "POST", "rated", "publish", lines, "x-ndjson"),
            send(gateway, "POST", "rated", "broadcast", {"channels": [f"c{n}" for n in range(50)], **EVENT}),
            send(gateway, "GET", "rated", "channels"),
        )

    return [ask(server), ask(reference)]


def test_both_servers_tell_the_same(rated: list[tuple[Answer, ...]]) -> None:
    ours, theirs = rated
    assert [told(answer) for answer in ours] == [told(answer) for answer in theirs]


def test_what_is_over_the_limit_is_refused_whole(rated: list[tuple[Answer, ...]]) -> None:
    first, too_large, second, *refused, channels = rated[0]
    assert (first.status, second.status) == (200, 200)
    assert (too_large.status, too_large.json()["code"]) == (413, "payload_too_large")
    assert "events_burst" in too_large.json()["error"]
    for answer in refused:
        assert (answer.status, answer.json()["code"]) == (429, "rate_limited")
        assert 30 <= int(answer.field("retry-after") or "0") <= 60
    # Nothing of the refused ones is left.
    assert [(channel["channel"], channel["last_offset"]) for channel in channels.json()["channels"]] == [("room", 59)]


def test_a_publisher_is_told_what_is_left(rated: list[tuple[Answer, ...]]) -> None:
    first, _, second, *refused, channels = rated[0]
    for answer in (first, second, *refused):
        assert answer.field("ratelimit-policy") == '"events";q=60;w=60, "bytes";q=100000;w=1'
        assert re.fullmatch(r'"events";r=\d+;t=\d+, "bytes";r=\d+;t=\d+', answer.field("ratelimit") or "")
    assert (first.field("ratelimit") or "").startswith('"events";r=59;t=1,')
    assert re.match(r'"events";r=\d;t=(60|5\d),', second.field("ratelimit") or "")
    assert channels.field("ratelimit") is None


def test_an_app_without_such_limits_is_told_nothing(server: Gateway) -> None:
    for app in ("free", "crowd"):
        answer = publish(server, app)
        assert answer.status == 200
        assert [name for name, _ in answer.fields if name.startswith("ratelimit")] == []


def open_stream(gateway: Gateway) -> RawConnection:
    head = "GET /apps/crowd/channels/room/events HTTP/1.1\r\nHost: g\r\nX-API-Key: crowd-key\r\n\r\n"
    return RawConnection(gateway.port).send(head.encode())


def is_free(gateway: Gateway) -> bool:
    publish(gateway, "crowd")  # the WSGI server sees that a reader has gone when it has something to write
    return send(gateway, "GET", "crowd", "limits").json()["subscriptions"]["used"] == 0


def test_a_stream_too_many_is_refused_until_one_ends(server: Gateway, reference: Gateway) -> None:
    def look(gateway: Gateway) -> tuple[Any, ...]:
        wait_until(lambda: is_free(gateway), "the streams to end")
        streams = [open_stream(gateway) for _ in range(2)]
        assert [stream.head()[0] for stream in streams] == [200, 200]
        with open_stream(gateway) as third:
            refused = third.answer()
        streams.pop().close()

        def fits() -> bool:
            publish(gateway, "crowd")
            with open_stream(gateway) as stream:
                return stream.head()[0] == 200

        wait_until(fits, "room for a stream")
        streams.pop().close()
        assert refused.field("retry-after") == "1"
        return told(refused)

    answers = look(server)
    assert answers == look(reference)
    assert answers[-2:] == ("rate_limited", "The app has 2 subscriptions open, the most that its limits allow.")


def test_a_channel_too_many_is_refused(server: Gateway, reference: Gateway, server_name: str) -> None:
    def look(gateway: Gateway) -> list[tuple[Any, ...]]:
        return [told(publish(gateway, "narrow", channel)) for channel in ("a", "b", "c", "a")]

    answers = look(server)
    if server_name == "native-redis":  # the channels are in Redis, which is not asked
        assert [answer[0] for answer in answers] == [200] * 4
        return
    assert [answer[0] for answer in answers] == [200, 200, 429, 200]
    assert answers == look(reference)


def test_a_batch_with_a_channel_too_many_leaves_nothing(server: Gateway, server_name: str) -> None:
    if server_name == "native-redis":
        return
    publish(server, "narrow", "a")
    publish(server, "narrow", "b")
    before = send(server, "GET", "narrow", "channels").body
    answer = batch(server, "narrow", "a", "c")
    if "processor" in server_name:  # each event has had its verdict by then
        assert [result["code"] for result in answer.json()["results"]] == ["rate_limited"] * 2
    else:
        assert (answer.status, answer.json()["code"]) == (429, "rate_limited")
    assert send(server, "GET", "narrow", "channels").body == before


def test_an_operator_sees_what_is_used(server: Gateway, reference: Gateway) -> None:
    for gateway in (server, reference):
        wait_until(lambda gateway=gateway: is_free(gateway), "the streams to end")
        with open_stream(gateway) as stream:
            stream.head()
            assert send(gateway, "GET", "crowd", "limits").json() == {
                "app_id": "crowd",
                "events": None,
                "bytes": None,
                "connections": {"most": 3, "used": 1},
                "subscriptions": {"most": 2, "used": 1},
                "channels": None,
            }
        assert send(gateway, "GET", "nobody", "limits").status == 401
