"""The unmodified phoenix npm package against a real gateway: all that an application does with it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.phoenix_client import PhoenixClient, install
from tests.production import KEYS, ProductionGateway, token
from tests.serving import Gateway, wait_until


@pytest.fixture(scope="session")
def folder() -> Path:
    return install()


@pytest.fixture
def start_client(folder: Path) -> Iterator[Callable[[], PhoenixClient]]:
    """Starts a client; those that it started are ended with the test."""
    clients: list[PhoenixClient] = []

    def start() -> PhoenixClient:
        clients.append(PhoenixClient(folder))
        return clients[-1]

    yield start
    for each in clients:
        each.close()


@pytest.fixture
def client(start_client: Callable[[], PhoenixClient]) -> PhoenixClient:
    return start_client()


@pytest.mark.parametrize("long_poll", [False, True], ids=["WebSocket", "LongPoll"])
def test_join_push_events_and_leave(shared_gateway: Gateway, room: str, client: PhoenixClient, long_poll: bool) -> None:
    ack = shared_gateway.publish(room, "before")
    client.connect(shared_gateway.port, long_poll=long_poll).do("join", topic=room)
    client.next("open")
    assert client.joined() == {"epoch": ack["epoch"], "offset": 1, "recovered": True}
    client.do("push", topic=room, event="publish", payload={"type": "greeting", "data": {"text": "Hällo"}})
    happened = {what["is"]: what for what in (client.next("reply", "event"), client.next("reply", "event"))}
    assert happened["reply"]["status"] == "ok"
    event = happened["event"]["payload"]
    assert (event["type"], event["data"], event["offset"]) == ("greeting", {"text": "Hällo"}, 2)
    assert event["id"] == happened["reply"]["response"]["id"]
    for number in range(100):
        shared_gateway.publish(room, number)
    assert client.data(100) == list(range(100))
    client.do("leave", topic=room)
    assert [client.next("closed", "error", "left")["is"] for _ in range(2)] == ["closed", "left"]
    client.do("join", topic=f"{room}:2").joined()  # the package says that it left before the gateway has heard of it
    shared_gateway.publish(room, "unheard")
    client.do("join", topic=room)
    assert client.next("join", "event")["response"]["offset"] == 103


def test_an_array_buffer_is_pushed(shared_gateway: Gateway, room: str, client: PhoenixClient) -> None:
    client.connect(shared_gateway.port).do("join", topic=room).joined()
    client.do("push", topic=room, event="publish", payload={"type": "bytes", "data": [1, 2]}, binary=True)
    assert client.next("reply")["status"] == "ok"
    assert shared_gateway.history(room)["events"][0]["data"] == [1, 2]


def test_a_refused_push(shared_gateway: Gateway, room: str, client: PhoenixClient) -> None:
    client.connect(shared_gateway.port).do("join", topic=room).joined()
    client.do("push", topic=room, event="publish", payload={"type": ""})
    reply = client.next("reply")
    assert (reply["status"], reply["response"]["code"]) == ("error", "invalid_event")


def test_heartbeats(shared_gateway: Gateway, client: PhoenixClient) -> None:
    client.connect(shared_gateway.port, heartbeatIntervalMs=50)
    assert [client.next("heartbeat", "close", "failure") for _ in range(3)] == [{"is": "heartbeat", "status": "ok"}] * 3


def test_it_joins_again_by_itself_and_has_every_event_once(
    start: Callable[..., Gateway], room: str, client: PhoenixClient
) -> None:
    """What it missed was published by another instance, while its own was down."""
    gateway = start()
    client.connect(gateway.port).do("join", topic=room, resumes=True).joined()
    for number in range(5):
        gateway.publish(room, number)
    assert client.data(5) == list(range(5))
    gateway.kill_everything()
    client.next("close")
    other = start("--workers", "1")
    for number in range(5, 10):
        other.publish(room, number)
    again = start(port=gateway.port)
    joined = client.joined()
    assert (joined["offset"], joined["recovered"]) == (10, True)
    assert client.data(5) == list(range(5, 10))
    other.publish(room, 10)
    again.publish(room, 11)
    assert client.data(2) == [10, 11]


def test_it_is_told_what_it_missed_for_good(start: Callable[..., Gateway], room: str, client: PhoenixClient) -> None:
    gateway = start("--history-size", "3")
    client.connect(gateway.port).do("join", topic=room, resumes=True).joined()
    gateway.publish(room, 0)
    assert client.data(1) == [0]
    gateway.kill_everything()
    other = start("--history-size", "3")
    for number in range(1, 6):
        epoch = other.publish(room, number)["epoch"]
    again = start("--history-size", "3", port=gateway.port)
    assert client.joined() == {"epoch": epoch, "offset": 6, "recovered": False}
    gap = client.next("gap", "event")["payload"]
    assert gap == {"from": 2, "to": 3, "reason": "overwritten", "epoch": epoch, "offset": 3}
    assert client.data(3) == [3, 4, 5]
    assert again.request("DELETE", f"/apps/demo/channels/{room}/history").status == 200
    epoch = again.publish(room, "new")["epoch"]
    gap = client.next("gap", "event")["payload"]
    assert (gap["reason"], gap["epoch"], gap["offset"]) == ("epoch_changed", epoch, 0)
    assert client.data(1) == ["new"]
    again.kill_everything()
    other.publish(room, "missed")
    start("--history-size", "3", port=gateway.port)
    assert client.joined() == {"epoch": epoch, "offset": 2, "recovered": True}
    assert client.data(1) == ["missed"]


def members(client: PhoenixClient, keys: set[str]) -> dict[str, Any]:
    return wait_until(lambda: (now := client.next("presence sync")["members"]).keys() == keys and now, "the members")


def test_presence(shared_gateway: Gateway, room: str, start_client: Callable[[], PhoenixClient]) -> None:
    ann, ben = start_client(), start_client()
    ann.connect(shared_gateway.port)
    ann.do("join", topic=room, params={"presence": {"key": "ann", "meta": {"device": "phone"}}})
    joined = ann.next("presence join")
    assert (joined["key"], joined["first"], joined["metas"][0]["device"]) == ("ann", True, "phone")
    assert set(members(ann, {"ann"})["ann"][0]) == {"phx_ref", "device"}

    ben.connect(shared_gateway.port).do("join", topic=room, params={"presence": {"key": "ben"}})
    assert members(ben, {"ann", "ben"}) == members(ann, {"ann", "ben"})

    second = start_client().connect(shared_gateway.port)
    second.do("join", topic=room, params={"presence": {"key": "ben", "meta": {"device": "desk"}}})
    again = ann.next("presence join")
    assert (again["key"], again["first"]) == ("ben", False)
    assert [meta.get("device") for meta in members(ann, {"ann", "ben"})["ben"]] == [None, "desk"]
    ben.do("leave", topic=room)
    assert ann.next("presence leave") == {"is": "presence leave", "topic": room, "key": "ben", "last": False}
    second.do("disconnect")
    assert ann.next("presence leave") == {"is": "presence leave", "topic": room, "key": "ben", "last": True}
    assert members(ann, {"ann"})


@pytest.mark.parametrize("long_poll", [False, True], ids=["WebSocket", "LongPoll"])
def test_the_option_auth_token(
    production_gateway: ProductionGateway, client: PhoenixClient, room: str, long_poll: bool
) -> None:
    channel = f"chat:{room}"
    bearer = token({channel: ["subscribe", "publish"]}, sub="ann")
    client.connect(production_gateway.port, None, long_poll, authToken=bearer).do("join", topic=channel).joined()
    client.do("push", topic=channel, event="publish", payload={"type": "message", "data": 1})
    event = client.next("event")["payload"]
    assert (event["meta"]["user_id"], event["data"]) == ("ann", 1)


@pytest.mark.parametrize(
    ("key", "options", "status"),
    [("wrong", {}, 401), (None, {"authToken": token({}, secret="x" * 32)}, 401), (KEYS["demo"], {"vsn": "1.0.0"}, 400)],
    ids=["a wrong key", "a wrong token", "the older protocol"],
)
def test_a_refused_connect(
    production_gateway: ProductionGateway, client: PhoenixClient, key: str | None, options: Any, status: int
) -> None:
    client.connect(production_gateway.port, key, **options)
    for _ in range(2):  # it tries again
        assert client.next("failure", "open") == {"is": "failure", "message": f"Unexpected server response: {status}"}
        assert client.next("close", "open")["is"] == "close"


def test_a_refused_join(production_gateway: ProductionGateway, client: PhoenixClient, room: str) -> None:
    bearer = token({f"chat:{room}": ["subscribe"]})
    client.connect(production_gateway.port, None, authToken=bearer).do("join", topic="chat:others")
    for _ in range(2):
        reply = client.next("join")
        assert (reply["status"], reply["response"]["code"]) == ("error", "forbidden")
    client.do("join", topic=f"chat:{room}")
    while client.next("join")["topic"] != f"chat:{room}":
        pass


def test_an_expired_token_is_replaced_with_the_next_join(
    production_gateway: ProductionGateway, client: PhoenixClient, room: str
) -> None:
    over = token({room: ["subscribe"]}, seconds=-10)
    new = token({room: ["subscribe"]})
    client.connect(production_gateway.port, None)
    client.do("join", topic=room, params={"access_token": over}, next={"access_token": new})
    reply = client.next("join")
    assert (reply["status"], reply["response"]["code"]) == ("error", "token_expired")
    client.joined()


def test_a_token_that_ends_makes_the_channel_join_again(
    production_gateway: ProductionGateway, client: PhoenixClient, room: str
) -> None:
    production_gateway.publish(room, 0)
    client.connect(production_gateway.port, None)
    first = token({room: ["subscribe"]}, seconds=1)
    client.do(
        "join",
        topic=room,
        resumes=True,
        params={"access_token": first},
        next={"access_token": token({room: ["subscribe"]})},
    )
    client.joined()
    production_gateway.publish(room, 1)
    error = client.next("error")
    assert error["reason"]["code"] == "token_expired"
    production_gateway.publish(room, 2)
    assert client.joined()["recovered"]
    production_gateway.publish(room, 3)
    assert client.data(2) == [2, 3]
