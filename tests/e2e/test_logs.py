"""What a running gateway logs: not too much, findable, and never at the cost of those whom it serves."""

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Gateway, free_port, serve_command, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SERVERS = ["native", "wsgi"]
BODY = json.dumps({"type": "message", "data": 1}).encode()


def lines(gateway: Gateway) -> list[dict[str, Any]]:
    """What was logged, of JSON."""
    return [json.loads(line) for line in gateway.log.read_text().splitlines() if line.startswith("{")]


def start_unready(spawn: Callable[..., Gateway], *arguments: str, **environment: str) -> Gateway:
    """A gateway whose Redis is not there, so that it is never ready."""
    gateway = spawn(*arguments, **environment)
    wait_until(lambda: is_alive(gateway), "the gateway to serve")
    return gateway


def is_alive(gateway: Gateway) -> bool:
    try:
        return gateway.request("GET", "/alive").status == 200
    except OSError:
        return False


def publish(gateway: Gateway, **headers: str) -> int:
    return gateway.request("POST", "/apps/demo/channels/room:1/publish", BODY, headers).status


@pytest.mark.parametrize("server", SERVERS)
def test_refusals_while_redis_is_gone_are_told_but_do_not_flood(spawn: Callable[..., Gateway], server: str) -> None:
    environment = {"LOG_FORMAT": "json", "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    gateway = start_unready(spawn, "--server", server, "--workers", "1", **environment)
    answered = [publish(gateway, **{"X-Request-ID": f"id-{number}"}) for number in range(100)]
    assert set(answered) == {503}

    def refused() -> list[dict[str, Any]]:
        return [line for line in lines(gateway) if line["event"] == "refused"]

    # Every refusal is in one of the lines, or among those that the line says were held back.
    wait_until(lambda: sum(1 + line.get("held_back", 0) for line in refused()) == 100, "the refusals to be told")
    assert len(refused()) < 60
    assert {line["code"] for line in refused()} == {"engine_unavailable"}
    assert all(line["request_id"].startswith("id-") for line in refused())
    assert all(line["level"] == "warning" for line in refused())


@pytest.mark.parametrize("server", SERVERS)
def test_a_line_is_found_by_its_request_and_its_trace(spawn: Callable[..., Gateway], server: str) -> None:
    environment = {"LOG_FORMAT": "json", "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    gateway = start_unready(spawn, "--server", server, "--workers", "1", **environment)
    assert publish(gateway, **{"X-Request-ID": "mine", "traceparent": TRACEPARENT}) == 503
    wait_until(lambda: "mine" in gateway.log.read_text(), "the line")
    (line,) = [line for line in lines(gateway) if line.get("request_id") == "mine"]
    assert line["trace_id"] == TRACE


@pytest.mark.parametrize("server", SERVERS)
def test_the_level_changes_on_sighup(start: Callable[..., Gateway], tmp_path: Path, server: str) -> None:
    config = tmp_path / "polyglot.toml"
    config.write_text('log_level = "error"')
    gateway = start("--server", server, LOG_FORMAT="json")
    workers = wait_until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers")
    assert lines(gateway) == []

    def reload(level: str) -> None:
        config.write_text(f'log_level = "{level}"')
        gateway.process.send_signal(signal.SIGHUP)

    reload("info")
    wait_until(lambda: "polyglot.toml reloaded" in gateway.log.read_text(), "the master to log")
    wait_until(lambda: gateway.log.read_text().count("logs from info on") == 2, "both workers to log")
    reload("error")
    gateway.request("GET", "/alive")
    assert gateway.workers() == workers


@contextmanager
def serving(folder: Path, redirect: str, **environment: str) -> Iterator[Gateway]:
    """A gateway with its output redirected as a shell does it."""
    port = free_port()
    shell = ("sh", "-c", f'exec "$@" {redirect}', "sh", *serve_command(port), "--workers", "1")
    gateway = Gateway(folder, port, (), environment, shell)
    try:
        wait_until(lambda: is_alive(gateway), "the gateway to serve")
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.kill_everything()


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("redirect", [">/dev/full 2>&1", ">&- 2>&-"], ids=["full", "closed"])
def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path, server: str, redirect: str) -> None:
    with serving(tmp_path, redirect, SERVER=server, LOG_LEVEL="debug") as gateway:
        for _ in range(20):
            assert publish(gateway) == 200
            assert gateway.request("GET", "/nowhere").status == 404
        gateway.process.send_signal(signal.SIGHUP)
        assert publish(gateway) == 200
        (worker,) = gateway.workers()
        for process in (gateway.process.pid, worker):
            for descriptor in (1, 2):
                assert os.readlink(f"/proc/{process}/fd/{descriptor}") in ("/dev/full", "/dev/null")
        assert gateway.stop() == 0


def test_a_reader_of_the_log_that_does_not_read_stops_nobody(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_inheritable(writing, True)
    redirect = f">/proc/{os.getpid()}/fd/{writing} 2>&1"
    environment = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}", "SERVER": "wsgi"}
    with serving(tmp_path, redirect, **environment) as gateway:
        for _ in range(100):
            assert publish(gateway) == 503
        assert gateway.stop() == 0
    assert len(os.read(reading, 65536)) > 2000
    os.close(reading)
    os.close(writing)
