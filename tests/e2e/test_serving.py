"""`polyglot serve`: the seed's lines work, starts that cannot work say why, and workers come back."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

HEALTH = "curl http://localhost:4000/health"
PUBLISH = """curl -X POST http://localhost:4000/apps/demo-app/channels/room:test/publish \\
  -H "Content-Type: application/json" \\
  -H "X-API-Key: valid_key_demo-app" \\
  -d '{"type": "message", "data": {"text": "Hello"}}'"""
HISTORY = "curl http://localhost:4000/apps/demo-app/channels/room:test/history"
SECOND_PUBLISH = """curl -X POST http://localhost:4000/apps/test/channels/room:1/publish \\
  -H "Content-Type: application/json" \\
  -H "X-API-Key: valid_key_test" \\
  -d '{"type":"msg","data":{"text":"test"}}'"""


def test_the_first_lines_that_users_paste_work_as_written(gateway):
    def run(line: str) -> dict:
        line = line.replace(":4000/", f":{gateway.port}/")
        return json.loads(subprocess.run(["bash", "-c", line], check=True, capture_output=True).stdout)

    assert run(HEALTH)["status"]
    ack = run(PUBLISH)
    assert ack["offset"] == 1
    history = run(HISTORY)
    assert history["count"] == 1
    assert history["events"][0]["id"] == ack["id"]
    assert history["events"][0]["data"] == {"text": "Hello"}
    assert run(SECOND_PUBLISH)["offset"] == 1
    for path in ("alive", "ready", "api/debug/circuit-breaker"):
        run(f"curl --fail http://localhost:4000/{path}")


def test_all_workers_share_one_history(gateway):
    acks = [gateway.publish("room:1", number) for number in range(40)]
    assert [ack["offset"] for ack in acks] == list(range(1, 41))
    for _ in range(10):
        assert [event["data"] for event in gateway.history("room:1")["events"]] == list(range(40))


def test_a_killed_worker_is_replaced(gateway, wait_until):
    before = wait_until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers")
    gateway.publish("room:1", "kept")
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(set(gateway.workers()) - set(before)) == 1, "a new worker")
    assert gateway.history("room:1")["events"][0]["data"] == "kept"
    assert gateway.publish("room:1", "next")["offset"] == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--workers", "0"], {}, "workers"),
        (["--bind", "nowhere"], {}, "bind"),
        ([], {"HISTORY_SIZE": "many"}, "history_size"),
        ([], {"POLYGLOT_ENV": "prod"}, "key"),
        ([], {"POLYGLOT_CONFIG": "absent.toml"}, "absent.toml"),
        (["--data-dir", "/proc/nowhere"], {}, "/proc/nowhere"),
    ],
)
def test_a_wrong_setting_stops_the_start_in_one_line(spawn, arguments, environment, said):
    gateway = spawn(*arguments, **environment)
    assert gateway.process.wait(20) == 1
    lines = gateway.log.read_text().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("polyglot: ")
    assert said in lines[0]


def test_a_taken_port_stops_the_start(gateway, spawn):
    second = spawn(port=gateway.port)
    assert second.process.wait(20) == 1
    assert f"127.0.0.1:{gateway.port}" in second.log.read_text()
    assert "in use" in second.log.read_text()
    assert gateway.is_ready()


def test_a_damaged_history_file_is_set_aside(spawn, tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "history.pgs").write_bytes(b"not a history" * 1000)
    gateway = spawn("--workers", "1").wait_until_ready()
    assert gateway.publish("room:1", 1)["offset"] == 1
    files = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert [path for path in files if path.read_bytes().startswith(b"not a history")]


def test_two_instances_share_one_data_folder(gateway, start):
    other = start()
    gateway.publish("room:1", "from the first")
    assert other.publish("room:1", "from the second")["offset"] == 2
    assert [event["data"] for event in gateway.history("room:1")["events"]] == ["from the first", "from the second"]


def test_an_instance_with_another_layout_is_refused_while_the_first_runs(gateway, spawn):
    second = spawn("--max-channels", "77")
    assert second.process.wait(20) == 1
    assert "history.pgs" in second.log.read_text()
    assert gateway.publish("room:1", 1)["offset"] == 1
