"""The authorize hook for requests of REST: asked alike by both servers, and what it says holds alike."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.production import KEYS, ProductionGateway, token
from tests.raw_http import RawConnection
from tests.serving import Stream

# It does what the client's parameter or header `hook` says.
HOOK = """
import dataclasses
import json

from polyglot_gateway._core import Grant
from polyglot_gateway.errors import Forbidden


def authorize(request):
    with open("asked", "a") as asked:
        print(json.dumps(dataclasses.asdict(request)), file=asked)
    hook = request.params.get("hook") or request.headers.get("x-hook")
    if hook == "deny":
        raise Forbidden("Not on a Sunday.")
    if hook == "fail":
        raise RuntimeError("the secret of the hook")
    if hook == "wrong":
        return True
    if hook in ("grant", "other"):
        grant = Grant("other" if hook == "other" else request.app, "ann")
        grant.allow("room:*", ["subscribe", "publish", "history"])
        return grant
    return None
"""
EVENT = b'{"type":"message","data":1}'


@pytest.fixture(scope="module", params=["native", "wsgi"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionGateway]:
    """One worker, whose hook writes down what it is asked."""
    folder = tmp_path_factory.mktemp("hook")
    (folder / "hooks.py").write_text(HOOK)
    gateway = ProductionGateway(folder, "--workers", "1", "--server", request.param, AUTHORIZE="hooks:authorize")
    yield gateway.wait_until_ready()
    gateway.kill_everything()


@pytest.fixture
def room() -> str:
    return f"room:{uuid.uuid4()}"


def asked(gateway: ProductionGateway) -> list[Any]:
    """What the hook was asked since the last call."""
    file = Path(gateway.folder / "asked")
    lines = file.read_text().splitlines() if file.exists() else []
    file.write_text("")
    return [json.loads(line) for line in lines]


def ask(gateway: ProductionGateway, method: str, path: str, **fields: str) -> tuple[int, Any]:
    """Status and code of the answer, without a credential unless one is given; of a stream only its head is read."""
    body = EVENT if method == "POST" else b""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: gateway", *lines, f"Content-Length: {len(body)}", "", ""])
    with RawConnection(gateway.port) as connection:
        connection.send(head.encode() + body)
        if "/events" in path:
            status, found = connection.head()
            if status == 200:
                return 200, None
            length = int(dict(found)["content-length"])
            return status, json.loads(connection._take(length))["code"]
        answer = connection.answer(method)
    return answer.status, answer.json().get("code") if answer.body else None


def requests_of(room: str) -> list[tuple[str, str, str, str]]:
    """Method, path, and the kind and the channel that the hook is asked about."""
    channel = f"/apps/demo/channels/{room}"
    return [
        ("POST", f"{channel}/publish", "publish", room),
        ("POST", "/apps/demo/publish", "publish", ""),
        ("POST", "/apps/demo/broadcast", "publish", ""),
        ("GET", f"{channel}/history", "history", room),
        ("GET", f"{channel}/events", "subscribe", room),
        ("GET", f"{channel}/presence", "history", room),
        ("GET", channel, "history", room),
        ("GET", "/apps/demo/channels", "history", ""),
        ("DELETE", f"{channel}/history", "admin", room),
    ]


def test_it_is_asked_once_for_each_request_with_all_that_is_known(gateway: ProductionGateway, room: str) -> None:
    bearer = token({"*": ["publish", "history", "subscribe"]})
    for method, path, kind, channel in requests_of(room):
        asked(gateway)
        sent = {"X_Forwarded_For": "203.0.113.7", "User_Agent": "test", "Cookie": "a=b"}
        ask(gateway, method, f"{path}?who=%C3%BC&who=you&empty=", **sent, X_API_Key="guess")
        (request,) = asked(gateway)
        headers = request.pop("headers")
        assert request == {
            "kind": kind,
            "app": "demo",
            "channel": channel,
            "token": "",
            "api_key": "guess",
            "params": {"who": "you", "empty": ""},
            "source_ip": "203.0.113.7",
        }, (method, path)
        assert {name: headers[name] for name in ("user-agent", "cookie", "host")} == {
            "user-agent": "test",
            "cookie": "a=b",
            "host": "gateway",
        }
        ask(gateway, method, path, Authorization=f"Bearer {bearer}")
        (request,) = asked(gateway)
        assert (request["token"], request["api_key"]) == (bearer, "")


def test_it_can_deny_what_a_key_or_a_token_or_nothing_allows(gateway: ProductionGateway, room: str) -> None:
    everything = token({"*": ["publish", "history", "subscribe"]})
    for method, path, _, _ in requests_of(room) + requests_of(f"open:{room}"):
        for sent in ({"X_API_Key": KEYS["demo"]}, {"Authorization": f"Bearer {everything}"}, {}):
            assert ask(gateway, method, path, X_Hook="deny", **sent) == (403, "forbidden"), (method, path)
    assert gateway.history(room)["count"] == 0


def test_what_it_grants_holds_and_no_more(gateway: ProductionGateway, room: str) -> None:
    channel = f"/apps/demo/channels/{room}"
    assert ask(gateway, "POST", f"{channel}/publish", X_Hook="grant") == (200, None)
    assert gateway.history(room)["events"][0]["meta"]["user_id"] == "ann"
    for path in (f"{channel}/history", f"{channel}/events", f"{channel}/presence", channel):
        assert ask(gateway, "GET", path, X_Hook="grant") in [(200, None), (404, "not_found")], path
    hall = channel.replace("room:", "hall:")
    refused = [("POST", f"{hall}/publish"), ("GET", f"{hall}/history"), ("GET", f"{hall}/events")]
    refused += [("GET", f"{hall}/presence"), ("POST", "/apps/demo/publish"), ("DELETE", f"{channel}/history")]
    for method, path in refused:
        assert ask(gateway, method, path, X_Hook="grant") == (403, "forbidden"), path
    for method, path, _, _ in requests_of(room):
        assert ask(gateway, method, path, X_Hook="other") == (403, "forbidden"), path


def test_where_it_says_nothing_key_and_token_decide(gateway: ProductionGateway, room: str) -> None:
    reads = token({room: ["history", "subscribe"]})
    for method, path, kind, channel in requests_of(room):
        status, code = ask(gateway, method, path)
        assert (status, code) == (401, "unauthorized"), path
        assert ask(gateway, method, path, X_API_Key="wrong") == (401, "unauthorized"), path
        assert ask(gateway, method, path, Authorization="Bearer a.b.c") == (401, "unauthorized"), path
        may = kind in ("history", "subscribe") and channel == room
        status, code = ask(gateway, method, path, Authorization=f"Bearer {reads}")
        assert (status == 403) is not may, path
        assert ask(gateway, method, path, X_API_Key=KEYS["demo"])[0] not in (401, 403), path
    for path in (f"/apps/demo/channels/open:{room}/{action}" for action in ("history", "events")):
        assert ask(gateway, "GET", path, Authorization="Bearer a.b.c") == (200, None), path


@pytest.mark.parametrize("hook", ["fail", "wrong"])
def test_when_it_fails_nobody_gets_in_and_nothing_leaks(gateway: ProductionGateway, room: str, hook: str) -> None:
    for method, path, _, _ in requests_of(room):
        status, code = ask(gateway, method, path, X_Hook=hook, X_API_Key=KEYS["demo"])
        assert (status, code) == (500, "internal_error"), path
    assert gateway.history(room)["count"] == 0


def test_a_stream_that_it_granted_gets_events(gateway: ProductionGateway, room: str) -> None:
    stream = Stream(gateway.port, f"/apps/demo/channels/{room}/events?hook=grant&since=0", "")
    gateway.publish(room, "heard")
    assert stream.next()[1]["data"] == "heard"
    stream.close()


def test_a_connection_goes_on_behind_what_it_decided(gateway: ProductionGateway, room: str) -> None:
    channel = f"/apps/demo/channels/{room}"
    with RawConnection(gateway.port) as connection:
        for hook, status in (("deny", 403), ("grant", 200), ("deny", 403)):
            for path in (f"{channel}/history", f"{channel}/presence"):
                connection.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Hook: {hook}\r\n\r\n".encode())
                assert connection.answer().status in (status, 404)
        connection.send(b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        assert [connection.answer().status for _ in range(2)] == [200, 200]
