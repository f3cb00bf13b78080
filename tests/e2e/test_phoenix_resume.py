"""Joins that say where they stopped: what was missed comes in order before what is new, or a gap says what cannot."""

import json

import pytest
from tests.production import KEYS, ProductionGateway
from tests.serving import wait_until
from tests.websocket import WebSocket

HISTORY_SIZE = 1000


@pytest.fixture
def gateway(production_gateway: ProductionGateway) -> ProductionGateway:
    return production_gateway


@pytest.fixture
def socket(gateway: ProductionGateway) -> WebSocket:
    return WebSocket(gateway.port, token=KEYS["demo"])


def fill(gateway: ProductionGateway, channel: str, count: int) -> str:
    """Publish the numbers from 0 on; returns the epoch."""
    return [gateway.publish(channel, number)["epoch"] for number in range(count)][-1]


def publish_many(gateway: ProductionGateway, channel: str, count: int, padding: str = "") -> None:
    """Publish so many numbers from 0 on, or padding in place of them, at once."""
    events = [{"channel": channel, "type": "message", "data": padding or number} for number in range(count)]
    response = gateway.request("POST", "/apps/demo/publish", json.dumps({"events": events}).encode())
    assert response.status == 200, response.body


def forget(gateway: ProductionGateway, channel: str) -> None:
    assert gateway.request("DELETE", f"/apps/demo/channels/{channel}/history").status == 200


def data(socket: WebSocket, count: int) -> list[int]:
    """What the next events say; a gap among them is an error."""
    return [socket.next("event", "gap").payload["data"] for _ in range(count)]


@pytest.mark.parametrize("with_epoch", [True, False], ids=["since and epoch", "since alone"])
def test_what_was_missed_comes_in_order_before_what_is_new(
    gateway: ProductionGateway, room: str, socket: WebSocket, with_epoch: bool
) -> None:
    epoch = fill(gateway, room, 5)
    said = {"epoch": epoch} if with_epoch else {}
    assert socket.join(room, since=2, **said) == {"epoch": epoch, "offset": 5, "recovered": True}
    gateway.publish(room, 5)
    assert data(socket, 4) == [2, 3, 4, 5]
    socket.leave(room)
    for since, missed in ((0, [0, 1, 2, 3, 4, 5]), (5, [5]), (6, [])):
        assert socket.join(room, since=since, **said)["recovered"]
        assert data(socket, len(missed)) == missed
    gateway.publish(room, 6)
    assert data(socket, 1) == [6]


def test_a_join_without_since_begins_with_what_is_new(gateway: ProductionGateway, room: str, socket: WebSocket) -> None:
    epoch = fill(gateway, room, 3)
    assert socket.join(room, epoch=epoch) == {"epoch": epoch, "offset": 3, "recovered": True}
    gateway.publish(room, 3)
    assert data(socket, 1) == [3]


def test_a_long_past_while_more_comes(gateway: ProductionGateway, room: str) -> None:
    publish_many(gateway, room, HISTORY_SIZE)
    readers = {since: WebSocket(gateway.port, token=KEYS["demo"]) for since in (100, 250, 500, 750)}
    for number, (since, reader) in enumerate(readers.items(), HISTORY_SIZE):
        reader.ask_to_join(room, since=since)
        gateway.publish(room, number)
    for since, reader in readers.items():
        assert data(reader, HISTORY_SIZE + 4 - since) == list(range(since, HISTORY_SIZE + 4))


def test_what_was_overwritten(gateway: ProductionGateway, room: str, socket: WebSocket) -> None:
    publish_many(gateway, room, HISTORY_SIZE)
    epoch = fill(gateway, room, 4)
    newest = HISTORY_SIZE + 4
    assert socket.join(room, since=2, epoch=epoch) == {"epoch": epoch, "offset": newest, "recovered": False}
    gap = {"from": 3, "to": 4, "reason": "overwritten", "epoch": epoch, "offset": 4}
    assert socket.message() == (None, None, room, "gap", gap)
    assert data(socket, HISTORY_SIZE) == [*range(4, HISTORY_SIZE), *range(4)]
    assert socket.join(room, since=4, epoch=epoch)["recovered"]
    assert data(socket, HISTORY_SIZE) == [*range(4, HISTORY_SIZE), *range(4)]


def test_what_has_expired(gateway: ProductionGateway, room: str, socket: WebSocket) -> None:
    channel = f"brief:{room}"
    epoch = fill(gateway, channel, 3)
    wait_until(lambda: gateway.history(channel)["count"] == 0, "the events to expire")
    assert not socket.join(channel, since=1, epoch=epoch)["recovered"]
    gap = socket.next("gap").payload
    assert gap == {"from": 2, "to": 3, "reason": "expired", "epoch": epoch, "offset": 3}
    gateway.publish(channel, 3)
    assert data(socket, 1) == [3]


def test_a_past_that_was_deleted(gateway: ProductionGateway, room: str, socket: WebSocket) -> None:
    old = fill(gateway, room, 3)
    forget(gateway, room)
    new = fill(gateway, room, 4)
    assert new != old
    assert socket.join(room, since=2, epoch=old) == {"epoch": new, "offset": 4, "recovered": False}
    gap = socket.message().payload
    assert (gap["reason"], gap["epoch"], gap["offset"]) == ("epoch_changed", new, 0)
    assert data(socket, 4) == [0, 1, 2, 3]


def test_a_past_that_is_deleted_while_somebody_listens(
    gateway: ProductionGateway, room: str, socket: WebSocket
) -> None:
    fill(gateway, room, 2)
    socket.join(room)
    forget(gateway, room)
    epoch = gateway.publish(room, "new")["epoch"]
    gap = socket.message()
    assert gap[:4] == (None, None, room, "gap")
    assert (gap.payload["reason"], gap.payload["epoch"], gap.payload["offset"]) == ("epoch_changed", epoch, 0)
    event = socket.message()
    assert (event.event, event.payload["offset"], event.payload["data"]) == ("event", 1, "new")


def test_an_offset_that_was_never_given(gateway: ProductionGateway, room: str, socket: WebSocket) -> None:
    epoch = fill(gateway, room, 3)
    assert socket.join(room, since=10, epoch=epoch) == {"epoch": epoch, "offset": 3, "recovered": False}
    gap = socket.message().payload
    assert (gap["reason"], gap["epoch"], gap["offset"]) == ("beyond_end", epoch, 0)
    gateway.publish(room, 3)
    assert data(socket, 4) == [0, 1, 2, 3]  # nobody can know which of them it has had


def test_the_first_epoch_of_a_channel_is_told(gateway: ProductionGateway, room: str, socket: WebSocket) -> None:
    void = socket.join(room)
    assert (void["offset"], void["recovered"]) == (0, True)
    ack = gateway.publish(room, 0)
    assert socket.message() == (None, None, room, "epoch", {"epoch": ack["epoch"]})
    assert socket.message().payload["offset"] == 1
    socket.leave(room)
    socket.next("phx_close")
    # Whoever was away when it began resumes with the epoch of the empty channel, and has missed nothing.
    assert socket.join(room, since=0, epoch=void["epoch"]) == {"epoch": ack["epoch"], "offset": 1, "recovered": True}
    assert socket.message() == (None, None, room, "epoch", {"epoch": ack["epoch"]})
    assert socket.message().payload["offset"] == 1


def test_a_public_channel_resumes_without_credentials(gateway: ProductionGateway, room: str) -> None:
    channel = f"open:{room}"
    epoch = fill(gateway, channel, 3)
    socket = WebSocket(gateway.port, token="")
    assert socket.join(channel, since=1, epoch=epoch)["recovered"]
    assert data(socket, 2) == [1, 2]


def test_a_slow_reader_of_a_channel_that_conflates_gets_the_newest(gateway: ProductionGateway, room: str) -> None:
    """What it gets and the gaps that it is told of are together the whole."""
    channel = f"latest:{room}"
    reader = WebSocket(gateway.port, token=KEYS["demo"])
    reader.join(channel)
    for _ in range(12):
        publish_many(gateway, channel, 16, "x" * 60_000)
    last = gateway.publish(channel, "the newest")["offset"]
    offset, gaps = 0, 0
    while offset < last:
        message = reader.next("event", "gap")
        if message.event == "gap":
            assert (message.payload["from"], message.payload["reason"]) == (offset + 1, "conflated")
            assert message.payload["offset"] == message.payload["to"]
            offset, gaps = message.payload["to"], gaps + 1
        else:
            assert message.payload["offset"] == offset + 1
            offset += 1
    assert (message.event, message.payload["data"]) == ("event", "the newest")
    assert gaps > 0
