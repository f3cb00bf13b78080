"""The tools that compare the gateway with its peers: they run, and the one that counts deliveries misses nothing."""

import json
import shutil
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from polyglot_gateway.settings import Settings

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "build" / "release" / "benchmarks" / "load"
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

built = pytest.mark.skipif(not (TOOLS / "fanout").exists(), reason="the preset release has not been built")
installed = pytest.mark.skipif(
    not (NCHAN.exists() and shutil.which("nginx") and shutil.which("wrk")), reason="nginx with nchan and wrk are needed"
)


def frame(payload: bytes) -> bytes:
    return b"\x81" + (bytes([len(payload)]) if len(payload) < 126 else b"\x7e%b" % len(payload).to_bytes(2)) + payload


class Session(socketserver.StreamRequestHandler):
    """A connection of the double: a Phoenix socket, or HTTP publishes that it hands on as `deliver` says."""

    def handle(self) -> None:
        while request := self.rfile.readline():
            headers = {}
            while name := (line := self.rfile.readline().decode().strip()).partition(": ")[0].lower():
                headers[name] = line.partition(": ")[2]
            if request.startswith(b"GET /socket/websocket?vsn=2.0.0&app_id=demo&token=valid_key_demo "):
                self.subscribe()
                return
            body = self.rfile.read(int(headers["content-length"]))
            for event in self.server.deliver(body):
                message = frame(b'[null,null,"room:test","event",{"id":"evt","data":%b}]' % event)
                for subscriber in self.server.subscribers:
                    subscriber.write(message)
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    def subscribe(self) -> None:
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        while head := self.rfile.read(2):
            message = json.loads(self.rfile.read(4 + (head[1] & 0x7F))[4:])
            if message[3] == "phx_join":  # before the reply, after which events are sent
                self.server.subscribers.append(self.wfile)
            reply = [message[0], message[1], message[2], "phx_reply", {"status": "ok", "response": {}}]
            self.wfile.write(frame(json.dumps(reply, separators=(",", ":")).encode()))


class Double(socketserver.ThreadingTCPServer):
    """Stands in for a gateway that does as `deliver` says: from the body of a publish to the bodies sent on."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, deliver: Callable[[bytes], list[bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.deliver = deliver
        self.subscribers: list[Any] = []


@pytest.fixture
def fanout() -> Iterator[Callable[..., tuple[int, dict[str, Any]]]]:
    """Runs the tool against a double."""
    doubles = []

    def run(deliver: Callable[[bytes], list[bytes]], *options: str) -> tuple[int, dict[str, Any]]:
        double = Double(deliver)
        doubles.append(double)
        threading.Thread(target=double.serve_forever, daemon=True).start()
        command = [TOOLS / "fanout", "--port", str(double.server_address[1]), "--subscribers", "2", *options]
        done = subprocess.run([*command, "--seconds", "0.1"], check=False, capture_output=True, text=True, timeout=30)
        return done.returncode, json.loads(done.stdout)

    yield run
    for double in doubles:
        double.shutdown()
        double.server_close()


def number(body: bytes) -> int:
    return int(body.partition(b"stamp ")[2].partition(b"@")[0])


@built
@pytest.mark.parametrize("options", [(), ("--window", "20"), ("--rate", "500")])
def test_fanout_counts_what_comes(fanout, options):
    status, result = fanout(lambda body: [body], *options)
    assert status == 0
    assert result["publishes"] > 0
    assert result["deliveries"] == 2 * result["publishes"]
    assert (result["lost"], result["out_of_order"]) == (0, 0)
    assert 0 < result["delivery_us"]["p50"] <= result["delivery_us"]["p99"] <= result["delivery_us"]["p99.9"]
    assert result["answer_us"]["p50"] > 0


@built
def test_fanout_sees_a_lost_event(fanout):
    status, result = fanout(lambda body: [] if number(body) == 2 else [body], "--rate", "100")
    assert status == 1
    assert (result["lost"], result["out_of_order"]) == (2, 0)


@built
def test_fanout_sees_that_the_last_event_is_lost(fanout):
    status, result = fanout(lambda body: [body] if number(body) < 10 else [], "--rate", "100")
    assert result["publishes"] == 10
    assert (status, result["lost"]) == (1, 2)


@built
def test_fanout_sees_an_event_that_comes_twice_or_late(fanout):
    held = []

    def third_before_second(body: bytes) -> list[bytes]:
        if number(body) == 2:
            held.append(body)
            return []
        return [body, held.pop()] if number(body) == 3 else [body]

    assert fanout(third_before_second, "--rate", "100")[1]["out_of_order"] == 2
    assert fanout(lambda body: [body, body], "--rate", "100")[0] == 1


@built
def test_fanout_lets_conflating_channels_skip_events_but_not_the_last(fanout):
    status, result = fanout(lambda body: [body] if number(body) % 5 == 0 else [], "--rate", "100", "--conflate")
    assert result["publishes"] == 10
    assert (status, result["lost"], result["skipped"]) == (0, 0, 16)
    status, result = fanout(lambda body: [body] if number(body) < 10 else [], "--rate", "100", "--conflate")
    assert (status, result["lost"]) == (1, 2)


@built
@installed
@pytest.mark.parametrize("server", get_args(Settings.model_fields["server"].annotation))
def test_the_peers_are_compared(tmp_path, server):
    report = tmp_path / "peers.json"
    command = [sys.executable, "-m", "benchmarks.peers", "--only", "publish", "--rounds", "1", "--seconds", "0.2"]
    command += ["--server", server, "--tools", str(TOOLS), "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = json.loads(report.read_text())["figures"]["publish"]["rounds"]
    assert rounds.keys() == {"floor", "gateway", "nchan"}
    assert all(measured["cpu_us"] > 0 for (measured,) in rounds.values())
    assert "gateway / nchan" in done.stdout


@built
@installed
def test_redis_and_processors_are_compared(tmp_path):
    report = tmp_path / "redis.json"
    command = [sys.executable, "-m", "benchmarks.peers", "--rounds", "1", "--seconds", "0.3", "--json", str(report)]
    command += ["--only", "redis-publish", "redis-append", "redis-delivery", "redis-balanced"]
    command += ["processor-grpc", "processor-publish", "processor-delay"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=100)
    figures = json.loads(report.read_text())["figures"]
    assert len(figures) == 7
    for figure in figures.values():
        for rounds in figure["rounds"].values():
            assert next(iter(rounds[0].values())) > 0
