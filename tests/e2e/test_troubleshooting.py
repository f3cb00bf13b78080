"""docs/troubleshooting.md: each symptom is made, and the commands that the page gives are run as they stand there."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.serving import PATIENCE, Gateway, free_port, wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text()
COMMANDS = dict(re.findall(r"^```bash (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
EVENT = b'{"type": "message", "data": {"text": "Hello"}}'
BREAKER_SECONDS = 30
ALONE = {  # commands whose gateway has no trouble, and what they say
    "first-look": ['{"status":"ready"}', '"engine":{"name":"embedded"', "data folder"],
    "check": ["history_bytes", "data folder"],
    "access": ['"code":"unauthorized"', "polyglot_env"],
    "body": ['"code":"invalid_json"', '"position":28'],
    "missed": ["Hello", "polyglot_gaps_total 0.0", "polyglot_slow_readers_total 0.0", "polyglot_evictions_total 0.0"],
    "slow": ["Mem:", "polyglot_publish_seconds_count 1.0"],
    "memory": ["polyglot_segment_used_bytes", "polyglot_segment_size_bytes"],
}

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs the commands of this name beside a gateway, and returns what they print; they have to end well."""
    processes: list[subprocess.Popen[str]] = []

    def run(
        name: str, gateway: Gateway, *, patience: float = PATIENCE, http: int = 1, grpc: int = 1, **environment: str
    ) -> str:
        code = COMMANDS[name].replace("localhost:4000", f"localhost:{gateway.port}")
        code = code.replace("localhost:8080", f"localhost:{http}")
        code = code.replace("--http 8080 --grpc 9090", f"--http {http} --grpc {grpc}")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "PORT": str(free_port()), "DATA_DIR": "new", **environment},
            stdout=(tmp_path / f"{name}.txt").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        processes.append(process)
        status = process.wait(patience)
        output = (tmp_path / f"{name}.txt").read_text()
        assert status == 0, output
        return output

    yield run
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            continue


def publish(gateway: Gateway) -> tuple[int, bytes]:
    answer = gateway.request("POST", "/apps/demo/channels/room:test/publish", EVENT)
    return answer.status, answer.body


@pytest.mark.parametrize("name", ALONE)
def test_commands_say_what_there_is(gateway: Gateway, run: Run, name: str) -> None:
    gateway.publish("room:test", {"text": "Hello"}, app="demo-app")
    output = run(name, gateway)
    for said in ALONE[name]:
        assert said in output


@pytest.mark.slow
def test_a_processor_that_went_away(spawn: Callable[..., Gateway], run: Run) -> None:
    http, grpc = free_port(), free_port()
    gateway = spawn("--workers", "1", PROCESSOR_URL=f"http://localhost:{http}").wait_until_ready()
    for _ in range(5):
        status, body = publish(gateway)
        assert (status, b"processor_unavailable" in body) == (503, True)
    assert gateway.request("GET", "/ready").status == 503
    output = run("processor", gateway, http=http)
    assert "the processor does not answer" in output
    assert '"state":"open"' in output
    assert "Connection refused" in output
    run("processor-again", gateway, http=http, grpc=grpc, patience=BREAKER_SECONDS + PATIENCE)
    assert publish(gateway)[0] == 200


def test_redis_that_went_away(spawn: Callable[..., Gateway], run: Run, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis", port=free_port())
    try:
        where = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis.port)}
        gateway = spawn("--workers", "1", **where).wait_until_ready()
        assert "PONG" in run("redis", gateway, **where)
        redis.kill()
        wait_until(lambda: publish(gateway)[0] == 503, "Redis to be missed")
        assert b"engine_unavailable" in publish(gateway)[1]
        output = run("redis", gateway, **where)
        for said in ("Redis does not answer", str(redis.port), "fail", "not_ready"):
            assert said in output
        redis.start()
        wait_until(lambda: publish(gateway)[0] == 200, "Redis to be found again")
    finally:
        redis.close()


def test_every_command_of_the_page_is_run() -> None:
    assert set(COMMANDS) == {*ALONE, "processor", "processor-again", "redis"}
    assert PAGE.count("```bash") == len(COMMANDS)
