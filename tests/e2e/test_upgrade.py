"""A start over the history of another version: it is set aside, never misread, and readers are told."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serving import PATIENCE, Gateway, free_port, wait_until
from tests.versions import set_aside, set_version, version_of
from tests.websocket import WebSocket

OTHER = 1
DOCUMENT = Path(__file__).parents[2] / "docs" / "upgrade.md"
BOTH_SERVERS = pytest.mark.parametrize("server", ["native", "wsgi"])


@BOTH_SERVERS
def test_another_versions_history_is_set_aside_and_readers_are_told(start, tmp_path, server):
    gateway = start(SERVER=server)
    for number in range(3):
        ack = gateway.publish("room:1", number)
    assert gateway.stop() == 0
    history = tmp_path / "data" / "history.pgs"
    ours = version_of(history)
    set_version(history, OTHER)
    before = history.read_bytes()

    after = start(SERVER=server)
    (aside,) = set_aside(tmp_path / "data")
    assert aside.read_bytes() == before
    assert version_of(history) == ours
    log = after.log.read_text()
    assert f"has format version {OTHER}, this gateway writes {ours}" in log
    assert str(aside.name) in log

    page = after.history("room:1", f"since=3&epoch={ack['epoch']}")
    assert (page["count"], page["recovered"], page["gap"]["reason"]) == (0, False, "epoch_changed")
    stream = after.subscribe("room:1", last_event_id=f"{ack['epoch']}:2")
    assert stream.next()[1]["reason"] == "epoch_changed"
    again = after.publish("room:1", "new")
    assert (again["offset"], again["epoch"] == ack["epoch"]) == (1, False)
    assert stream.next()[1]["data"] == "new"
    stream.close()
    if server == "native":
        with WebSocket(after.port) as socket:
            assert socket.join("room:1", since=2, epoch=ack["epoch"])["recovered"] is False
            assert socket.next("gap").payload["reason"] == "epoch_changed"
            assert socket.next("event").payload["data"] == "new"


@BOTH_SERVERS
def test_the_history_is_not_taken_from_another_version_that_uses_it(start, spawn, tmp_path, server):
    old = spawn("--workers", "1", SERVER=server).wait_until_ready()
    stream = old.subscribe("room:1", "?since=0")
    old.publish("room:1", "before")
    set_version(tmp_path / "data" / "history.pgs", OTHER)

    new = spawn("--workers", "1", SERVER=server)
    assert new.process.wait(PATIENCE) == 1
    said = new.log.read_text()
    assert "history.pgs has format version 1" in said
    assert "stop it first, or give this one another data_dir" in said
    assert "Traceback" not in said
    assert set_aside(tmp_path / "data") == []

    old.publish("room:1", "after")
    assert [stream.next()[1]["data"] for _ in range(2)] == ["before", "after"]
    assert old.history("room:1")["count"] == 2
    stream.close()
    assert old.stop() == 0
    assert start(SERVER=server).history("room:1")["count"] == 0
    assert len(set_aside(tmp_path / "data")) == 1


class Host:
    """A shell on a host with two versions, in `old` and `new`; each finds what the other one left."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        for name in ("old", "new"):
            program = folder / name / "bin" / "polyglot"
            program.parent.mkdir(parents=True)
            stamp = "printf '\\001' | dd of=data/history.pgs bs=1 seek=8 conv=notrunc status=none"
            program.write_text(
                f'#!/bin/sh\n[ "$1" = serve ] && [ -f data/history.pgs ] && {stamp}\n'
                f"exec {sys.executable} -c 'from polyglot_gateway.cli import main; main()' \"$@\"\n"
            )
            program.chmod(0o755)
        environment = {**os.environ, "PORT": str(port), "WORKERS": "2", "HISTORY_BYTES": str(16 << 20)}
        self.shell = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.gateway = Gateway(folder, port, (), {}, ("true",))  # only a client

    def run(self, name: str) -> None:
        """Run the block of the document that has this name."""
        (code,) = re.findall(rf"^```bash {name}\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
        self.shell.stdin.write(code.replace("localhost:4000", f"localhost:{self.port}") + "\necho done $?\n")
        self.shell.stdin.flush()
        too_late = threading.Timer(2 * PATIENCE, self.shell.kill)
        too_late.start()
        said = ""
        while not (line := self.shell.stdout.readline()).startswith("done"):
            said += line
            assert line, f"{name} did not end: {said}\n{(self.folder / 'polyglot.log').read_text()}"
        too_late.cancel()
        assert line == "done 0\n", said

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(int((self.folder / "polyglot.pid").read_text()), 15)
        self.shell.stdin.close()
        self.shell.wait(PATIENCE)
        self.gateway.process.wait(PATIENCE)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path, free_port())
    yield host
    wait_until(lambda: not host.gateway.is_ready() or host.close() is None, "its end")
    host.close()


def test_the_document_upgrades_and_rolls_back(host: Host) -> None:
    host.run("start")
    first = host.gateway.publish("room:1", "of the old version")

    host.run("upgrade")
    assert gap_of(host.gateway, first) == "epoch_changed"
    second = host.gateway.publish("room:1", "of the new version")
    assert host.gateway.history("room:1")["count"] == 1

    host.run("rollback")
    for ack in (first, second):
        assert gap_of(host.gateway, ack) == "epoch_changed"
    third = host.gateway.publish("room:1", "of the old version again")
    assert third["offset"] == 1
    assert len({ack["epoch"] for ack in (first, second, third)}) == 3

    assert len(set_aside(host.folder / "data")) == 2
    host.run("cleanup")
    assert set_aside(host.folder / "data") == []
    assert host.gateway.history("room:1")["count"] == 1


def gap_of(gateway: Gateway, ack: dict) -> str:
    gap: dict = gateway.history("room:1", f"since={ack['offset']}&epoch={ack['epoch']}")["gap"]
    return gap["reason"]
