"""Who is in a channel: told to all who joined it, on whatever worker they are, and true after a worker was killed."""

import os
import signal
from collections.abc import Callable

import pytest
from tests.members import diff, enter, listed, metas, until_there
from tests.processes import serving_workers, worker_of
from tests.production import KEYS, ProductionGateway, token
from tests.serving import Gateway, wait_until
from tests.websocket import WebSocket


def on_each_worker(gateway: Gateway) -> dict[int, WebSocket]:
    """One socket on each of two workers, by the worker's pid."""
    workers = serving_workers(gateway)
    found: dict[int, WebSocket] = {}

    def connect() -> bool:
        socket = WebSocket(gateway.port)
        worker = worker_of(gateway, socket)
        assert worker
        if found.setdefault(worker, socket) is not socket:
            socket.close()
        return found.keys() == set(workers)

    wait_until(connect, "a socket on each worker")
    return found


def test_members_on_two_workers_see_each_other(shared_gateway: Gateway, room: str) -> None:
    one, two = on_each_worker(shared_gateway).values()
    assert metas(enter(one, room, "ann", device="phone")) == {"ann": [{"device": "phone"}]}
    members = until_there(two, room, enter(two, room, "ben"), {"ann", "ben"})
    assert metas(members) == {"ann": [{"device": "phone"}], "ben": [{}]}
    assert diff(one, room) == ({"ben": members["ben"]}, {})
    wait_until(lambda: all(listed(shared_gateway, room) == members for _ in range(10)), "all workers to know")

    third = WebSocket(shared_gateway.port)
    enter(third, room, "ann", device="desk")
    joined = [diff(socket, room) for socket in (one, two)]
    assert joined[0] == joined[1]
    assert (metas(joined[0][0]), joined[0][1]) == ({"ann": [{"device": "desk"}]}, {})
    third.leave(room)
    assert [diff(socket, room) for socket in (one, two)] == [({}, joined[0][0])] * 2

    two.reset()
    assert diff(one, room) == ({}, {"ben": members["ben"]})
    wait_until(lambda: all(metas(listed(shared_gateway, room)).keys() == {"ann"} for _ in range(10)), "ben to be gone")


def test_a_killed_worker_takes_its_members_along(start: Callable[..., Gateway], room: str) -> None:
    gateway = start()
    sockets = on_each_worker(gateway)
    (doomed, taken), (_, left) = sockets.items()
    members = enter(left, room, "ann")
    enter(taken, room, "ben")
    enter(taken, f"{room}:2", "ben")
    joined = diff(left, room)[0]
    members |= joined
    gateway.process.send_signal(signal.SIGSTOP)  # so that no worker takes the place of the dead one
    os.kill(doomed, signal.SIGKILL)
    assert diff(left, room) == ({}, joined)
    members.pop("ben")

    # The next one is told of those who are still there.
    gateway.process.send_signal(signal.SIGCONT)
    (new,) = wait_until(lambda: set(serving_workers(gateway)) - set(sockets), "a new worker")
    late = next(socket for pid, socket in on_each_worker(gateway).items() if pid == new)
    late.join(room)
    assert until_there(late, room, late.next("presence_state").payload, {"ann"}) == members
    assert all(listed(gateway, f"{room}:2") == {} for _ in range(10))


def test_who_only_listens_is_no_member(shared_gateway: Gateway, room: str) -> None:
    listener, member = WebSocket(shared_gateway.port), WebSocket(shared_gateway.port)
    listener.join(room)
    assert listener.next("presence_state").payload == {}
    enter(member, room, "ann")
    assert metas(diff(listener, room)[0]) == {"ann": [{}]}


def test_a_second_join_replaces_the_meta(shared_gateway: Gateway, room: str) -> None:
    listener, member = WebSocket(shared_gateway.port), WebSocket(shared_gateway.port)
    listener.join(room)
    for mood in ("good", "better"):
        enter(member, room, "ann", mood=mood)
    seen = {}
    while metas(seen) != {"ann": [{"mood": "better"}]}:
        joins, leaves = diff(listener, room)
        assert not leaves or leaves == seen
        seen = joins


def test_the_state_comes_after_what_was_missed(shared_gateway: Gateway, room: str) -> None:
    shared_gateway.publish(room, 0)
    socket = WebSocket(shared_gateway.port)
    socket.ask_to_join(room, since=0, presence={"key": "ann"})
    assert [socket.message().event for _ in range(3)] == ["phx_reply", "event", "presence_state"]


@pytest.mark.parametrize("sub", ["ann", None])
def test_whoever_is_known_by_name_cannot_take_another(
    production_gateway: ProductionGateway, room: str, sub: str | None
) -> None:
    socket = WebSocket(production_gateway.port, token=token({"*": ["subscribe", "presence"]}, sub=sub))
    assert metas(enter(socket, f"chat:{room}", "somebody", age=5)) == {sub or "somebody": [{"age": 5}]}


def test_the_right_to_be_seen(production_gateway: ProductionGateway, room: str) -> None:
    chat = f"chat:{room}"
    unseen = WebSocket(production_gateway.port, token=token({"*": ["subscribe"]}, sub="ann"))
    assert enter(unseen, chat, "ann") == {}
    seen = WebSocket(production_gateway.port, token=KEYS["demo"])
    assert set(enter(seen, chat, "ben")) == {"ben"}


def test_a_channel_without_presence_says_nothing_of_it(production_gateway: ProductionGateway, room: str) -> None:
    socket = WebSocket(production_gateway.port, token=KEYS["demo"])
    production_gateway.publish(room, 0)
    socket.join(room, since=0, presence={"key": "ann"})
    assert socket.message().event == "event"
    assert socket.has_nothing_more()
    assert listed(production_gateway, room) == {}
