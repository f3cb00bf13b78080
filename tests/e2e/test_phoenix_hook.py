"""The authorize hook: what it is asked at each connect and join, and what holds when it grants, denies or fails."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.production import KEYS, ProductionGateway, token
from tests.serving import wait_until
from tests.websocket import Refused, WebSocket

# It does what the client's parameter `hook` says.
HOOK = """
import dataclasses
import json
import pathlib

import gevent

from polyglot_gateway._core import Grant
from polyglot_gateway.errors import Forbidden, RateLimited


def authorize(request):
    with open("asked", "a") as asked:
        print(json.dumps(dataclasses.asdict(request)), file=asked)
    hook = request.params.get("hook")
    if hook == "deny":
        raise Forbidden("Not on a Sunday.")
    if hook == "busy":
        raise RateLimited("Come again later.", retry_after=7)
    if hook == "fail":
        raise RuntimeError("the secret of the hook")
    if hook == "wrong":
        return True
    if hook == "slow":
        while not pathlib.Path("go").exists():
            gevent.sleep(0.01)
    if hook in ("grant", "slow", "other"):
        grant = Grant("other" if hook == "other" else request.app, "ann")
        grant.allow("chat:*", ["subscribe", "publish"])
        return grant
    return None
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionGateway]:
    """One worker, whose hook writes down what it is asked."""
    folder = tmp_path_factory.mktemp("hook")
    (folder / "hooks.py").write_text(HOOK)
    gateway = ProductionGateway(folder, "--workers", "1", AUTHORIZE="hooks:authorize")
    yield gateway.wait_until_ready()
    gateway.kill_everything()


@pytest.fixture
def chat(room: str) -> str:
    return f"chat:{room}"


def asked(gateway: ProductionGateway) -> list[Any]:
    """What the hook was asked since the last call."""
    file = Path(gateway.folder / "asked")
    lines = file.read_text().splitlines() if file.exists() else []
    file.write_text("")
    return [json.loads(line) for line in lines]


def refusal_of(gateway: ProductionGateway, **query: str) -> Any:
    with pytest.raises(Refused) as refused:
        WebSocket(gateway.port, **query)
    return refused.value.args[0]


def test_it_is_asked_once_for_each_connect_and_join(gateway: ProductionGateway, chat: str) -> None:
    asked(gateway)
    bearer = token({"*": ["subscribe"]})
    headers = {"X-Api-Key": KEYS["demo"], "X-Forwarded-For": "203.0.113.7", "User-Agent": "test"}
    socket = WebSocket(gateway.port, headers=headers, token="", room="ü", hook="")
    (connect,) = asked(gateway)
    assert {name: connect[name] for name in ("kind", "app", "channel", "token", "api_key", "source_ip")} == {
        "kind": "connect",
        "app": "demo",
        "channel": "",
        "token": "",
        "api_key": KEYS["demo"],
        "source_ip": "203.0.113.7",
    }
    assert connect["params"] == {"vsn": "2.0.0", "app_id": "demo", "room": "ü", "hook": ""}
    assert (connect["headers"]["user-agent"], connect["headers"]["host"]) == ("test", "gateway")

    socket.join(chat, access_token=bearer, more={"a": [1]})
    (join,) = asked(gateway)
    assert join == {
        "kind": "join",
        "app": "demo",
        "channel": chat,
        "token": bearer,
        "api_key": KEYS["demo"],
        "params": {"access_token": bearer, "more": {"a": [1]}},
        "source_ip": "203.0.113.7",
        "headers": {},
    }
    socket.publish(chat, 1)
    socket.leave(chat)
    socket.refusal(socket.ask_to_join("no channel"))
    assert socket.refusal(socket.push(chat, "publish", {}))[0] == "not_found"
    assert asked(gateway) == []
    socket.join(chat)
    assert [question["channel"] for question in asked(gateway)] == [chat]


def test_what_it_grants_holds(gateway: ProductionGateway, room: str, chat: str) -> None:
    socket = WebSocket(gateway.port, token="", hook="grant")
    socket.join(chat)
    socket.publish(chat, 1)
    assert socket.next("event").payload["meta"]["user_id"] == "ann"
    assert socket.refusal(socket.ask_to_join(room))[0] == "forbidden"

    stranger = WebSocket(gateway.port, token="")
    assert stranger.refusal(stranger.ask_to_join(chat))[0] == "unauthorized"
    stranger.join(chat, hook="grant")
    stranger.publish(chat, 2)
    assert stranger.refusal(stranger.ask_to_join(f"{chat}:2"))[0] == "unauthorized"
    assert stranger.refusal(stranger.ask_to_join(chat, hook="other"))[0] == "forbidden"
    assert refusal_of(gateway, token="", hook="other").json()["code"] == "forbidden"


def test_it_can_deny_what_a_key_or_a_token_allows(gateway: ProductionGateway, chat: str) -> None:
    for credential in (KEYS["demo"], token({"*": ["subscribe"]})):
        problem = refusal_of(gateway, token=credential, hook="deny")
        assert (problem.status, problem.json()["code"], problem.json()["error"]) == (
            403,
            "forbidden",
            "Not on a Sunday.",
        )
        socket = WebSocket(gateway.port, token=credential)
        assert socket.refusal(socket.ask_to_join(chat, hook="deny")) == ("forbidden", "Not on a Sunday.")
        assert socket.refusal(socket.push(chat, "publish", {}))[0] == "not_found"
        socket.join(chat)


@pytest.mark.parametrize("hook", ["fail", "wrong"])
def test_when_it_fails_nobody_gets_in_and_nothing_leaks(gateway: ProductionGateway, chat: str, hook: str) -> None:
    problem = refusal_of(gateway, token=KEYS["demo"], hook=hook)
    assert (problem.status, problem.json()["code"]) == (500, "internal_error")
    socket = WebSocket(gateway.port, token=KEYS["demo"])
    code, error = socket.refusal(socket.ask_to_join(chat, hook=hook))
    assert code == "internal_error"
    for text in (error, problem.body.decode()):
        assert "secret" not in text
    socket.join(chat)


def test_while_it_waits_all_else_goes_on(gateway: ProductionGateway, room: str, chat: str) -> None:
    go = gateway.folder / "go"
    go.unlink(missing_ok=True)
    asked(gateway)
    gateway.publish(chat, "before")
    socket = WebSocket(gateway.port, token=KEYS["demo"])
    socket.join(room)
    waiting = socket.ask_to_join(chat, hook="slow", since=0)
    gone = WebSocket(gateway.port, token=KEYS["demo"])
    gone.ask_to_join(chat, hook="slow")
    wait_until(lambda: (gateway.folder / "asked").read_text().count('"slow"') == 2, "the hook")
    gone.reset()
    assert socket.refusal(socket.push(chat, "publish", {}))[0] == "not_found"
    gateway.publish(chat, "meanwhile")
    gateway.publish(room, "here")
    assert socket.next("event").payload["data"] == "here"
    go.touch()
    assert socket.reply(waiting)[0] == "ok"
    assert [socket.next("event").payload["data"] for _ in range(2)] == ["before", "meanwhile"]


def test_the_last_of_several_joins_that_wait_counts(gateway: ProductionGateway, chat: str) -> None:
    go = gateway.folder / "go"
    go.unlink(missing_ok=True)
    asked(gateway)
    socket = WebSocket(gateway.port, token=KEYS["demo"])
    first, second = (socket.ask_to_join(chat, hook="slow") for _ in range(2))
    wait_until(lambda: (gateway.folder / "asked").read_text().count('"slow"') == 2, "the hook")
    go.touch()
    assert socket.message() == (first, None, chat, "phx_close", {})
    assert socket.message()[:2] == (second, second)
    gateway.publish(chat, 1)
    assert socket.next("event", "phx_reply").event == "event"
