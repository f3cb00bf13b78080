"""Who may connect, join and publish on a Phoenix socket in production: keys, tokens, and tokens that end."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from tests.production import KEYS, ProductionGateway, token
from tests.websocket import Refused, WebSocket

EVERYTHING = ["subscribe", "publish", "presence"]


@pytest.fixture
def chat(room: str) -> str:
    """A channel that takes events from sockets."""
    return f"chat:{room}"


@pytest.fixture
def open_socket(production_gateway: ProductionGateway) -> Callable[..., WebSocket]:
    """Opens a socket with this key or token."""
    return lambda credential="", **query: WebSocket(production_gateway.port, token=credential, **query)


def in_protocol(credential: str) -> str:
    return "phoenix, base64url.bearer.phx." + base64.urlsafe_b64encode(credential.encode()).decode().rstrip("=")


WAYS: dict[str, Callable[[str], tuple[dict[str, str], dict[str, str]]]] = {
    "parameter": lambda credential: ({"token": credential}, {}),
    "Authorization": lambda credential: ({}, {"Authorization": f"Bearer {credential}"}),
    "Sec-WebSocket-Protocol": lambda credential: ({}, {"Sec-WebSocket-Protocol": in_protocol(credential)}),
    "X-Phoenix-AuthToken": lambda credential: ({}, {"X-Phoenix-AuthToken": credential}),
    "before a parameter": lambda credential: ({"token": "wrong"}, {"Authorization": f"Bearer {credential}"}),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_way_to_send_a_token(production_gateway: ProductionGateway, chat: str, way: Callable[..., Any]) -> None:
    query, headers = way(token({chat: EVERYTHING}, sub="ann"))
    socket = WebSocket(production_gateway.port, headers=headers, **{"token": ""} | query)
    asked = "Sec-WebSocket-Protocol" in headers
    assert socket.handshake.field("sec-websocket-protocol") == ("phoenix" if asked else None)
    socket.join(chat)
    socket.publish(chat, 1)
    assert socket.next("event").payload["meta"]["user_id"] == "ann"
    query, headers = way(token({chat: EVERYTHING}, secret="of somebody else, and just as long as ours"))
    with pytest.raises(Refused) as refused:
        WebSocket(production_gateway.port, headers=headers, **{"token": ""} | query)
    assert (refused.value.args[0].status, refused.value.args[0].json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("way", ["token", "X-API-Key"])
def test_each_way_to_send_a_key(production_gateway: ProductionGateway, chat: str, way: str) -> None:
    def connect(key: str) -> WebSocket:
        if way == "token":
            return WebSocket(production_gateway.port, token=key)
        return WebSocket(production_gateway.port, headers={way: key}, token="")

    socket = connect(KEYS["demo"])
    socket.join(chat)
    socket.publish(chat, 1)
    assert socket.next("event").payload["meta"]["user_id"] is None
    for key in ("wrong", "valid_key_demo", KEYS["other"]):
        with pytest.raises(Refused) as refused:
            connect(key)
        assert (refused.value.args[0].status, refused.value.args[0].json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (token({"*": EVERYTHING}, seconds=-10), "token_expired"),
        (token({"*": EVERYTHING}, app="other", seconds=86_400), "forbidden"),
        ("a.b.c", "unauthorized"),
    ],
    ids=["over", "of another app", "no token"],
)
def test_a_token_that_opens_no_socket(open_socket: Callable[..., WebSocket], room: str, sent: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        open_socket(sent)
    assert refused.value.args[0].json()["code"] == code
    socket = open_socket()
    assert socket.refusal(socket.ask_to_join(room, access_token=sent))[0] == code
    assert socket.refusal(socket.push(room, "publish", {}))[0] == "not_found"


def test_without_credentials_only_what_is_public_can_be_read(
    production_gateway: ProductionGateway, open_socket: Callable[..., WebSocket], room: str, chat: str
) -> None:
    socket = open_socket()
    public = f"open:{room}"
    socket.join(public)
    assert socket.refusal(socket.ask_to_join(room))[0] == "unauthorized"
    assert socket.refusal(socket.ask_to_join(chat))[0] == "unauthorized"
    production_gateway.publish(room, "secret")
    production_gateway.publish(public, "public")
    assert socket.next("event").payload["data"] == "public"
    assert socket.refusal(socket.push(public, "publish", {"type": "a", "data": 1}))[0] == "forbidden"


def test_what_a_token_says_that_its_bearer_can(open_socket: Callable[..., WebSocket], room: str) -> None:
    can = {f"chat:{room}:*": ["subscribe"], f"chat:{room}:1": ["publish"], "*": ["history", "presence"]}
    socket = open_socket(token(can, sub="ann"))
    socket.join(f"chat:{room}:1")
    socket.publish(f"chat:{room}:1", 1)
    socket.join(f"chat:{room}:2")
    code, error = socket.refusal(socket.push(f"chat:{room}:2", "publish", {"type": "message", "data": 1}))
    assert (code, "publish" in error) == ("forbidden", True)
    code, error = socket.refusal(socket.ask_to_join(f"chat:{room}"))
    assert (code, "subscribe" in error) == ("forbidden", True)


def test_channels_that_take_no_events_from_sockets(
    production_gateway: ProductionGateway, open_socket: Callable[..., WebSocket], room: str
) -> None:
    for credential in (KEYS["demo"], token({"*": EVERYTHING})):
        socket = open_socket(credential)
        socket.join(room)
        refusal = socket.refusal(socket.push(room, "publish", {"type": "message", "data": 1}))
        assert refusal == ("forbidden", "This channel takes no events from sockets; publish over REST.")
    assert production_gateway.history(room)["count"] == 0


def test_the_limit_of_a_channel_holds_for_sockets(open_socket: Callable[..., WebSocket], room: str) -> None:
    socket = open_socket(KEYS["demo"])
    socket.join(f"small:{room}")
    assert socket.publish(f"small:{room}", "x" * 64)["offset"] == 1
    large = socket.push(f"small:{room}", "publish", {"type": "message", "data": "x" * 128})
    assert socket.refusal(large)[0] == "payload_too_large"


def test_apps_do_not_meet(
    production_gateway: ProductionGateway, open_socket: Callable[..., WebSocket], room: str
) -> None:
    """A topic names a channel of the socket's own app, whatever it looks like."""
    ours, theirs = open_socket(KEYS["demo"]), open_socket(KEYS["other"], app="other")
    for socket in (ours, theirs):
        socket.join(room)
        socket.join(f"other/{room}")
    production_gateway.publish(room, "theirs", app="other")
    production_gateway.publish(f"other/{room}", "ours")
    production_gateway.publish(room, "ours")
    assert [ours.next("event").payload["data"] for _ in range(2)] == ["ours", "ours"]
    production_gateway.publish(room, "the last", app="other")
    assert [theirs.next("event").payload["data"] for _ in range(2)] == ["theirs", "the last"]
    assert theirs.refusal(theirs.ask_to_join(room, access_token=token({"*": EVERYTHING})))[0] == "forbidden"


def test_the_token_of_a_join_holds_in_its_channel_alone(open_socket: Callable[..., WebSocket], chat: str) -> None:
    socket = open_socket(token({f"{chat}:*": EVERYTHING}, sub="ann"))
    socket.join(f"{chat}:1")
    socket.join(f"{chat}:2", access_token=token({f"{chat}:2": EVERYTHING}, sub="ben"))
    for number in "12":
        socket.publish(f"{chat}:{number}", number)
    users = {event.topic: event.payload["meta"]["user_id"] for event in (socket.next("event"), socket.next("event"))}
    assert users == {f"{chat}:1": "ann", f"{chat}:2": "ben"}


def test_a_refreshed_token_keeps_a_channel_beyond_the_end_of_the_first(
    production_gateway: ProductionGateway, open_socket: Callable[..., WebSocket], chat: str
) -> None:
    socket = open_socket(token({f"{chat}:*": EVERYTHING}, sub="ann", seconds=1))
    refreshed, forgotten = f"{chat}:refreshed", f"{chat}:forgotten"
    join_refs = {channel: socket.ask_to_join(channel) for channel in (refreshed, forgotten)}
    for ref in join_refs.values():
        assert socket.reply(ref)[0] == "ok"
    new = token({refreshed: EVERYTHING}, sub="ann")
    assert socket.reply(socket.push(refreshed, "access_token", {"access_token": new})) == ("ok", {})
    error = socket.next("phx_error")
    assert error[:3] == (join_refs[forgotten], None, forgotten)
    assert error.payload["code"] == "token_expired"
    assert error.payload["error"]
    production_gateway.publish(forgotten, "unheard")
    socket.publish(refreshed, "heard")
    assert socket.next("event").payload["data"] == "heard"
    assert socket.refusal(socket.push(forgotten, "publish", {}))[0] == "not_found"
    assert socket.refusal(socket.ask_to_join(forgotten))[0] == "token_expired"
    socket.join(forgotten, access_token=token({forgotten: EVERYTHING}), since=0)
    assert socket.next("event").payload["data"] == "unheard"


def test_a_refresh_that_is_refused_changes_nothing(open_socket: Callable[..., WebSocket], chat: str) -> None:
    socket = open_socket(token({chat: EVERYTHING}, sub="ann"))
    socket.join(chat)
    refused = {
        token({chat: EVERYTHING}, seconds=-10): "token_expired",
        token({chat: EVERYTHING}, secret="of somebody else, and just as long as ours"): "unauthorized",
        token({chat: EVERYTHING}, app="other"): "forbidden",
        token({"another": EVERYTHING}): "forbidden",
        token({chat: ["publish"]}): "forbidden",
        "wrong": "unauthorized",
        "": "invalid_parameter",
    }
    for sent, code in refused.items():
        assert socket.refusal(socket.push(chat, "access_token", {"access_token": sent}))[0] == code
    assert socket.refusal(socket.push(chat, "access_token", {}))[0] == "invalid_parameter"
    socket.publish(chat, 1)
    assert socket.next("event").payload["meta"]["user_id"] == "ann"


def test_a_refreshed_token_may_allow_less(open_socket: Callable[..., WebSocket], chat: str) -> None:
    socket = open_socket(token({chat: EVERYTHING}))
    socket.join(chat)
    less = token({chat: ["subscribe"]})
    assert socket.reply(socket.push(chat, "access_token", {"access_token": less})) == ("ok", {})
    assert socket.refusal(socket.push(chat, "publish", {"type": "message", "data": 1}))[0] == "forbidden"


def test_no_end_of_a_token_ends_what_a_key_allows(open_socket: Callable[..., WebSocket], chat: str) -> None:
    """The end is seen by the channel that stands on the token alone."""
    socket = open_socket(KEYS["demo"])
    socket.join(f"{chat}:key", access_token=token({f"{chat}:*": EVERYTHING}, seconds=1))
    watcher = open_socket()
    watcher.join(chat, access_token=token({chat: EVERYTHING}, seconds=1))
    assert watcher.next("phx_error").payload["code"] == "token_expired"
    socket.publish(f"{chat}:key", 1)
    assert socket.next("event", "phx_error").event == "event"
