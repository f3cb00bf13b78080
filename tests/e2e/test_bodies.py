"""Bodies as the network brings them: slow, cut off, in chunks, too large, not what they say they are."""

import json
import socket

import pytest

EVENT = b'{"type":"message","data":{"text":"Hello"}}'


class Raw:
    """A connection that is spoken to in bytes."""

    def __init__(self, gateway, room: str) -> None:
        self.path = f"/apps/demo/channels/{room}/publish"
        self.socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self, *lines: str) -> None:
        request = f"POST {self.path} HTTP/1.1"
        fixed = (request, "Host: gateway", "X-API-Key: valid_key_demo", "Content-Type: application/json")
        self.socket.sendall("\r\n".join((*fixed, *lines, "", "")).encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def status(self) -> int:
        received = b""
        while b"\r\n" not in received:
            more = self.socket.recv(65536)
            assert more, f"the connection was closed after {received!r}"
            received += more
        return int(received.split()[1])


@pytest.fixture
def raw(shared_gateway, room):
    connection = Raw(shared_gateway, room)
    yield connection
    connection.socket.close()


@pytest.fixture
def count(shared_gateway, room):
    """How many events the room has."""
    return lambda: shared_gateway.history(room)["count"]


def test_a_body_that_comes_byte_by_byte(raw, count):
    raw.head(f"Content-Length: {len(EVENT)}")
    for byte in EVENT:
        raw.send(bytes([byte]))
    assert raw.status() == 200
    assert count() == 1


def test_a_chunked_body(raw, count):
    raw.head("Transfer-Encoding: chunked")
    for part in (EVENT[:1], EVENT[1:20], EVENT[20:]):
        raw.send(b"%x\r\n%s\r\n" % (len(part), part))
    raw.send(b"0\r\n\r\n")
    assert raw.status() == 200
    assert count() == 1


def test_a_body_that_is_cut_off_leaves_nothing(raw, count):
    raw.head(f"Content-Length: {len(EVENT)}")
    raw.send(EVENT[:-5])
    raw.socket.shutdown(socket.SHUT_WR)
    raw.socket.settimeout(20)
    answer = raw.socket.recv(65536)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert count() == 0


def test_a_chunked_body_that_is_cut_off_leaves_nothing(raw, count):
    raw.head("Transfer-Encoding: chunked")
    raw.send(b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
    raw.socket.shutdown(socket.SHUT_WR)
    answer = raw.socket.recv(65536)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert count() == 0


def test_a_chunked_body_without_a_sane_chunk_size(raw, count):
    raw.head("Transfer-Encoding: chunked")
    raw.send(b"zz\r\n" + EVENT)
    assert raw.status() == 400
    assert count() == 0


def test_both_a_length_and_chunks_is_refused(raw, count):
    raw.head(f"Content-Length: {len(EVENT)}", "Transfer-Encoding: chunked")
    raw.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVENT), EVENT))
    assert raw.status() == 400
    assert count() == 0


def test_an_oversized_body_is_refused_before_it_is_read(raw, count):
    raw.head("Content-Length: 1000000000")
    assert raw.status() == 413
    assert count() == 0


def test_an_oversized_chunked_body_is_refused_before_its_end(raw, count):
    raw.head("Transfer-Encoding: chunked")
    part = b" " * 65537
    raw.send(b"%x\r\n%s\r\n" % (len(part), part))
    assert raw.status() == 413
    assert count() == 0


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
def test_the_limit_is_exact(raw, extra, status):
    frame = b'{"type":"message","data":"%s"}'
    body = frame % (b"x" * (65536 - len(frame % b"") + extra))
    raw.head(f"Content-Length: {len(body)}")
    raw.send(body)
    assert raw.status() == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xef\xbb\xbf" + EVENT,
        b'{"type":"m","data":"\\ud800"}',
        b'{"type":"m","data":"\x00"}',
        b'{"type":"m","data":' + b"[" * 65 + b"]" * 65 + b"}",
        b'{"type":"m","type":"n","data":1}',
        b'{"type":"m","data":"\xff"}',
        EVENT + b"x",
    ],
)
def test_what_is_not_strict_json_or_no_event_is_refused(raw, body, count):
    raw.head(f"Content-Length: {len(body)}")
    raw.send(body)
    assert raw.status() == 400
    assert count() == 0


def test_numbers_of_any_size_come_back_as_they_were_sent(shared_gateway, room):
    number = "1" * 1000
    body = f'{{"type":"message","data":[{number}, 1E400, -0.0]}}'.encode()
    assert shared_gateway.request("POST", f"/apps/demo/channels/{room}/publish", body).status == 200
    history = shared_gateway.request("GET", f"/apps/demo/channels/{room}/history").body
    assert f'"data":[{number}, 1E400, -0.0],'.encode() in history


def test_headers_beyond_reason_are_refused(raw):
    raw.head("X-Long: " + "x" * 20000, "Content-Length: 0")
    assert raw.status() == 431


def test_headers_do_not_move_the_application(shared_gateway):
    moved = {"SCRIPT_NAME": "/evil", "PATH_INFO": "/nowhere"}
    assert shared_gateway.request("GET", "/alive", headers=moved).status == 200
    assert b"evil" not in shared_gateway.request("GET", "/openapi.json", headers=moved).body
    assert shared_gateway.request("GET", "/evil/alive", headers=moved).status == 404


def test_one_connection_serves_many_requests(raw):
    for offset in range(1, 4):
        raw.head(f"Content-Length: {len(EVENT)}")
        raw.send(EVENT)
        answer = raw.socket.recv(65536)
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            answer += raw.socket.recv(65536)
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["offset"] == offset
