"""SIGHUP: polyglot.toml is read again, and nobody is cut off."""

import json
import os
import signal
import subprocess

import pytest
from tests.serving import POLYGLOT

RULES = '[apps."*"]\nrules = [{{ channels = "room:*", max_event_bytes = {limit} }}]\n'
BODY = json.dumps({"type": "message", "data": "x" * 300}).encode()


@pytest.fixture
def polyglot(tmp_path):
    """Runs a command of the gateway where its file is."""
    environment = {**os.environ, "COLUMNS": "500"}
    return lambda *arguments: subprocess.run(
        [*POLYGLOT, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def publish_status(gateway) -> int:
    return gateway.request("POST", "/apps/demo/channels/room:1/publish", BODY).status


def statuses_of_all_workers(gateway) -> set[int]:
    return {publish_status(gateway) for _ in range(12)}


def test_new_rules_hold_without_a_new_worker_or_a_lost_stream(start, tmp_path, wait_until):
    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=100))
    gateway = start()
    workers = wait_until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers")
    stream = gateway.subscribe("room:1", "?since=0")
    assert statuses_of_all_workers(gateway) == {413}

    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=1000))
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: statuses_of_all_workers(gateway) == {200}, "the new rules")
    assert stream.next()[1]["offset"] == 1
    assert gateway.workers() == workers


WRONG = {
    "a value": (
        RULES.format(limit='"many"'),
        "apps.*.rules.0.max_event_bytes: 'many': Input should be a valid integer",
    ),
    "a name": (RULES.format(limit="1000, max_bytes = 7"), "apps.*.rules.0.max_bytes: there is no such setting"),
    "no TOML": (RULES.format(limit="1000") + "[apps", "polyglot_config: 'polyglot.toml' is not TOML: "),
    "another setting": (
        "graceful_timeout = -1\n" + RULES.format(limit=1000),
        "graceful_timeout: -1: Input should be greater than or equal to 0",
    ),
    "what does not go with the rest": (
        '[apps."*"]\nrules = [{ channels = "room:*", history_size = 5000 }]\n',
        "apps.*.rules: history_size 5000 of 'room:*' is above the history_size of all channels; allowed are 1 to 1000",
    ),
}


@pytest.mark.parametrize("server", ["native", "wsgi"])
def test_a_wrong_file_keeps_the_old_rules_and_is_said(start, tmp_path, wait_until, polyglot, server):
    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=1000))
    gateway = start(SERVER=server)
    workers = wait_until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers")
    stream = gateway.subscribe("room:1")

    for text, said in WRONG.values():
        (tmp_path / "polyglot.toml").write_text(text)
        before = len(gateway.log.read_text())
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda at=before: "send SIGHUP again" in gateway.log.read_text()[at:], "the log to say so")
        line = gateway.log.read_text()[before:]
        assert "polyglot.toml was not reloaded, the old rules stay: " in line
        assert said in line
        assert statuses_of_all_workers(gateway) == {200}
        checked = polyglot("check-config")
        assert checked.returncode == 1
        assert said in checked.stdout + checked.stderr

    for pid in workers[:1]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(gateway.workers()) - set(workers[:1])) == 2, "a worker in its place")
    assert statuses_of_all_workers(gateway) == {200}
    assert gateway.workers()[:1] == workers[1:]
    stream.close()
    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=100))
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: statuses_of_all_workers(gateway) == {413}, "the rules once they are right")


def test_what_needs_a_restart_is_said(start, tmp_path, wait_until):
    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=1000))
    gateway = start()
    (tmp_path / "polyglot.toml").write_text("graceful_timeout = 7\nmax_event_bytes = 70\n")
    gateway.process.send_signal(signal.SIGHUP)
    said = "in force only from the next start: max_event_bytes, graceful_timeout"
    wait_until(lambda: said in gateway.log.read_text(), "the log to say so")
    assert gateway.log.read_text().count(said) == 1


def test_a_worker_that_comes_later_has_the_new_rules(start, tmp_path, wait_until):
    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=100))
    gateway = start()
    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=1000))
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: statuses_of_all_workers(gateway) == {200}, "the new rules")
    (tmp_path / "polyglot.toml").write_text("not even toml")
    for pid in gateway.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(gateway.is_ready, "new workers")
    assert statuses_of_all_workers(gateway) == {200}


def test_reloads_in_quick_succession_while_workers_start_lose_nobody(start, tmp_path, wait_until):
    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=1000))
    gateway = start()
    before = wait_until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers")
    os.kill(before[0], signal.SIGKILL)
    for _ in range(20):
        gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(set(gateway.workers()) - {before[0]}) == 2, "a new worker")
    assert statuses_of_all_workers(gateway) == {200}
    assert gateway.log.read_text().count("was sent") == 1
