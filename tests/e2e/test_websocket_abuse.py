"""Sockets that break the rules, ask for too much or go away in the middle: each is answered as the RFC says, the others
are served on, and nothing of it is left behind."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.followers import Publisher
from tests.processes import MEBIBYTE, descriptors, only, own_memory, serving_workers, wait_for_rest, wake_ups, worker_of
from tests.raw_http import RawConnection
from tests.serving import Gateway, free_port, wait_until
from tests.websocket import Opcode, Refused, WebSocket, frame, frame_head, handshake_request

HEARTBEAT = json.dumps([None, "1", "phoenix", "heartbeat", {}]).encode()
JOIN = json.dumps(["1", "1", "room:1", "phx_join", {}]).encode()


@pytest.fixture(scope="module")
def lone_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One worker, so that its memory and its descriptors can be looked at."""
    gateway = Gateway(tmp_path_factory.mktemp("lone"), free_port(), ("--workers", "1"), {}).wait_until_ready()
    serving_workers(gateway, 1)
    # What is needed once is there from now on.
    with WebSocket(gateway.port) as socket:
        socket.join("room:1", presence={"key": "first"})
    wait_until(lambda: not members(gateway), "the member to be gone")
    yield gateway
    gateway.kill_everything()


@pytest.fixture
def native(lone_gateway: Gateway) -> Iterator[Gateway]:
    """The same worker at the end, idle, with what it had at the beginning."""
    (worker,) = lone_gateway.workers()
    wait_for_rest(worker)
    files, memory = descriptors(worker), own_memory(worker)
    yield lone_gateway
    exchange(lone_gateway)
    wait_until(lambda: descriptors(worker) <= files, f"descriptors to come back to {files}")
    assert own_memory(worker) < memory + 24 * MEBIBYTE
    assert lone_gateway.workers() == [worker], lone_gateway.log.read_text()


def exchange(gateway: Gateway) -> None:
    """A client as it should be, which does not wait long."""
    with WebSocket(gateway.port, patience=5) as socket:
        socket.join("room:1")
        published = socket.publish("room:1", "hello")
        while (got := socket.next("event").payload["offset"]) != published["offset"]:
            assert got < published["offset"]


BROKEN = {
    "invalid UTF-8": (frame(Opcode.TEXT, b"\xff" + HEARTBEAT), 1007),
    "an overlong encoding": (frame(Opcode.TEXT, b'"\xc0\x80"'), 1007),
    "half of a surrogate pair": (frame(Opcode.TEXT, b'"\xed\xa0\x80"'), 1007),
    "UTF-8 that ends within a character": (frame(Opcode.TEXT, b"[\xe2\x82"), 1007),
    "invalid UTF-8 over two fragments": (
        frame(Opcode.TEXT, b"[\xe2", fin=False) + frame(Opcode.CONTINUATION, b"\x28]"),
        1007,
    ),
    "invalid UTF-8 in the reason of a close frame": (frame(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
    "no JSON": (frame(Opcode.TEXT, b"hello"), 1007),
    "no message": (frame(Opcode.TEXT, b"{}"), 1007),
    "no binary message": (frame(Opcode.BINARY, b"\x07\x00\x00"), 1007),
    "an empty text": (frame(Opcode.TEXT), 1007),
    **{f"reserved bit {bit}": (frame(Opcode.TEXT, HEARTBEAT, reserved=bit), 1002) for bit in (1, 2, 4)},
    **{f"opcode {code}": (frame(code, b""), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a frame without a mask": (frame(Opcode.TEXT, HEARTBEAT, mask=None), 1002),
    **{f"a fragmented {code.name}": (frame(code, b"", fin=False), 1002) for code in Opcode if code >= Opcode.CLOSE},
    "a long ping": (frame(Opcode.PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(Opcode.CONTINUATION, b"x"), 1002),
    "a text within a text": (frame(Opcode.TEXT, b"[", fin=False) + frame(Opcode.TEXT, HEARTBEAT), 1002),
    "a length of 2^63": (b"\x81\xff" + (1 << 63).to_bytes(8, "big") + b"mask", 1002),
    "a length in too many bytes": (b"\x81\xfe\x00\x05mask", 1002),
    "a close frame of one byte": (frame(Opcode.CLOSE, b"\x03"), 1002),
    **{
        f"the close code {code}": (frame(Opcode.CLOSE, code.to_bytes(2, "big")), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)
    },
    "64 MiB": (frame_head(Opcode.TEXT, 64 * MEBIBYTE), 1009),
    "64 MiB in binary": (frame_head(Opcode.BINARY, 64 * MEBIBYTE), 1009),
    "too much over two fragments": (
        frame(Opcode.TEXT, b"x" * MEBIBYTE, fin=False) + frame_head(Opcode.CONTINUATION, 1),
        1009,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_client_that_breaks_a_rule_is_told_which(native: Gateway, what: str) -> None:
    sent, code = BROKEN[what]
    with WebSocket(native.port) as socket:
        socket.join("room:1")
        socket.send(frame(Opcode.PING, b"before") + sent)
        assert socket.frame_of(Opcode.PONG) == b"before"
        assert socket.end()[0] == code


def test_what_is_sent_behind_a_broken_rule_is_not_done(native: Gateway) -> None:
    publish = json.dumps(["1", "2", "room:none", "publish", {"type": "message", "data": 1}]).encode()
    with WebSocket(native.port) as socket:
        socket.join("room:none")
        socket.send(frame(3) + frame(Opcode.TEXT, publish))
        assert socket.end()[0] == 1002
    assert native.history("room:none")["count"] == 0


def test_whole_frames_and_every_split_of_them_are_the_same(native: Gateway) -> None:
    text = json.dumps([None, "7", "phoenix", "heartbeat", {"text": "ä€😀"}], ensure_ascii=False).encode()
    with WebSocket(native.port) as socket:
        for cut in range(len(text) + 1):
            head, tail = frame(Opcode.TEXT, text[:cut], fin=False), frame(Opcode.CONTINUATION, text[cut:])
            socket.send(head + frame(Opcode.PING, b"between") + tail)
            assert socket.frame_of(Opcode.PONG) == b"between"
            assert socket.reply("7") == ("ok", {})
        for byte in frame(Opcode.TEXT, text):
            socket.send(bytes([byte]))
        assert socket.reply("7") == ("ok", {})


def test_a_frame_too_big_is_refused_before_it_is_sent(native: Gateway) -> None:
    (worker,) = native.workers()
    before = own_memory(worker)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            socket = stack.enter_context(WebSocket(native.port))
            socket.send(frame_head(Opcode.TEXT, 64 * MEBIBYTE) + b"mask")
            assert socket.end()[0] == 1009
    for _ in range(5):  # and those that send it all the same
        with WebSocket(native.port) as socket:
            socket.send(frame_head(Opcode.TEXT, 64 * MEBIBYTE) + b"mask")
            for _ in range(64):
                socket.send(b"x" * MEBIBYTE)
    exchange(native)
    assert own_memory(worker) < before + 8 * MEBIBYTE


def test_messages_that_never_end_cost_what_was_sent_of_them(native: Gateway) -> None:
    (worker,) = native.workers()
    before = own_memory(worker)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            socket = stack.enter_context(WebSocket(native.port))
            socket.send(frame_head(Opcode.TEXT, MEBIBYTE) + b"mask" + b"x" * 1000)
        for _ in range(10):
            socket = stack.enter_context(WebSocket(native.port))
            for _ in range(2000):
                socket.send(frame(Opcode.TEXT if _ == 0 else Opcode.CONTINUATION, b"x", fin=False))
        exchange(native)
        assert own_memory(worker) < before + 4 * MEBIBYTE


def test_pings_of_a_client_that_never_reads(native: Gateway) -> None:
    """Once its pongs stay unread it is not read from either, so that it pays for its flood itself."""
    (worker,) = native.workers()
    before = own_memory(worker)
    pings = frame(Opcode.PING, b"x" * 125) * 500_000
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            socket = stack.enter_context(WebSocket(native.port, receive_buffer=4096))
            socket.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                socket.socket.sendall(pings)
        exchange(native)
        assert own_memory(worker) < before + 8 * MEBIBYTE


HANDSHAKE = handshake_request()
HALVES = [b"", b"G", HANDSHAKE[:60], HANDSHAKE[:-2], HANDSHAKE[:-1]]
FRAMES = [b"\x81", b"\x81\xfe", frame(Opcode.TEXT, JOIN)[:5], frame(Opcode.TEXT, JOIN)[:-1], frame(Opcode.TEXT, JOIN)]


@pytest.mark.parametrize("half", HALVES)
def test_half_a_handshake_holds_up_nobody(native: Gateway, half: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(RawConnection(native.port)).send(half)
        for _ in range(5):
            exchange(native)


@pytest.mark.parametrize("half", [*HALVES, HANDSHAKE, *(HANDSHAKE + part for part in FRAMES)])
def test_a_reset_at_any_place(native: Gateway, half: bytes) -> None:
    for _ in range(100):
        RawConnection(native.port).send(half).reset()
    exchange(native)


def test_a_reset_in_the_middle_of_what_is_delivered(native: Gateway) -> None:
    with Publisher(native.port) as publisher:
        for _ in range(10):
            sockets = [WebSocket(native.port) for _ in range(20)]
            for socket in sockets:
                socket.join("room:reset", since=0)
            publisher.batch("room:reset", ["x" * 5000] * 100)
            for socket in sockets:
                socket.send(frame(Opcode.TEXT, JOIN)[:-3]).reset()
    exchange(native)


def test_a_handshake_and_what_follows_it_in_one_piece(native: Gateway) -> None:
    with RawConnection(native.port) as connection:
        connection.send(HANDSHAKE + frame(Opcode.TEXT, HEARTBEAT) + frame(Opcode.CLOSE, b"\x03\xe8"))
        assert connection.head()[0] == 101
        said = b'[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]'
        assert connection.rest() == frame(Opcode.TEXT, said, mask=None) + frame(Opcode.CLOSE, b"\x03\xe8", mask=None)


def test_ten_thousand_channels_on_one_socket(tmp_path: Path, spawn: Callable[..., Gateway]) -> None:
    (tmp_path / "polyglot.toml").write_text('[[apps.demo.rules]]\nchannels = "room:*"\n')  # nobody's presence
    gateway = spawn("--workers", "2", MAX_CHANNELS="11000", HISTORY_SIZE="10").wait_until_ready()
    mine, other = serving_workers(gateway)
    with only(gateway, mine):
        crowd = WebSocket(gateway.port)
    with only(gateway, other):
        publisher = Publisher(gateway.port)
        assert publisher.publish("room:none", 0)["offset"] == 1
    assert (worker_of(gateway, crowd), worker_of(gateway, publisher)) == (mine, other)
    files, before = descriptors(mine), own_memory(mine)
    join_ten_thousand(crowd)
    assert crowd.reply(crowd.ask_to_join("room:10000"))[1]["code"] == "rate_limited"
    crowd.leave("room:77")
    crowd.join("room:10000")
    full = own_memory(mine)
    assert full < before + 64 * MEBIBYTE

    some = [*range(0, 10_000, 50), 10_000]
    slept = wake_ups(mine)
    for number in some:
        publisher.publish(f"room:{number}", number)
        got = crowd.next("event")
        assert (got.topic, got.payload["data"]) == (f"room:{number}", number)
    # Else the same below would say nothing; on a busy machine a worker may be awake already.
    assert wake_ups(mine) - slept > len(some) / 2

    crowd.close()
    wait_until(lambda: descriptors(mine) < files, "the socket to be closed")
    with only(gateway, mine):
        again = WebSocket(gateway.port)  # answered when the worker has left all the channels
    slept = wake_ups(mine)
    for number in some:
        publisher.publish(f"room:{number}", number)
    assert wake_ups(mine) - slept < len(some) / 4, "nobody is there, and the worker is woken all the same"
    join_ten_thousand(again)
    assert own_memory(mine) < full + 4 * MEBIBYTE, "what the first socket had is not used again"
    for connection in (again, publisher):
        connection.close()


def join_ten_thousand(socket: WebSocket) -> None:
    for first in range(0, 10_000, 500):
        refs = [socket.ask_to_join(f"room:{number}") for number in range(first, first + 500)]
        assert {socket.reply(ref)[0] for ref in refs} == {"ok"}


APPS = """
[[apps.one.keys]]
sha256 = "{one}"
scopes = ["publish", "history", "subscribe"]
[[apps.two.keys]]
sha256 = "{two}"
scopes = ["publish", "history", "subscribe"]
"""


def test_the_channels_of_another_app_are_out_of_reach(tmp_path: Path, spawn: Callable[..., Gateway]) -> None:
    keys = {app: f"a key of the app {app}" for app in ("one", "two")}
    digests = {app: hashlib.sha256(key.encode()).hexdigest() for app, key in keys.items()}
    (tmp_path / "polyglot.toml").write_text(APPS.format(**digests))
    gateway = spawn("--workers", "2", POLYGLOT_ENV="prod").wait_until_ready()

    def publish(app: str, data: str) -> None:
        body = json.dumps({"type": "message", "data": data}).encode()
        path = f"/apps/{app}/channels/room:1/publish"
        assert gateway.request("POST", path, body, {"X-API-Key": keys[app]}).status == 200

    for how in ({"token": keys["one"]}, {"token": "", "headers": {"X-API-Key": keys["one"]}}):
        with pytest.raises(Refused) as refused:
            WebSocket(gateway.port, "two", **how)
        assert refused.value.args[0].status == 401
    with pytest.raises(Refused):
        WebSocket(gateway.port, "three", token=keys["one"])
    with WebSocket(gateway.port, "two", token="") as nobody:  # a token may come with the join
        assert nobody.reply(nobody.ask_to_join("room:1"))[1]["code"] == "unauthorized"

    with (
        WebSocket(gateway.port, "one", token=keys["one"]) as one,
        WebSocket(gateway.port, "two", token=keys["two"]) as two,
    ):
        for name in ("two/room:1", "../two/room:1", "room:1/../../two/room:1"):
            one.reply(one.ask_to_join(name))
        assert one.join("room:1")["offset"] == two.join("room:1")["offset"] == 0
        for number in range(20):
            publish("two", f"two {number}")
        publish("one", "one")
        first = one.next("event")
        assert (first.payload["app_id"], first.payload["data"], first.payload["offset"]) == ("one", "one", 1)
        assert [two.next("event").payload["app_id"] for _ in range(20)] == ["two"] * 20
    with WebSocket(gateway.port, "one", token=keys["one"]) as late:
        assert late.join("room:1", since=0)["offset"] == 1
        assert late.next("event").payload["app_id"] == "one"


def test_a_worker_whose_sockets_were_cut_off_has_nothing_left(native: Gateway) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(300):
            socket = stack.enter_context(WebSocket(native.port))
            socket.ask_to_join("room:1", presence={"key": str(number)})
    wait_until(lambda: not members(native), "the members to be gone")


def members(gateway: Gateway) -> object:
    answer = gateway.request("GET", "/apps/demo/channels/room:1/presence")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["members"]
