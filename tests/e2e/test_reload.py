"""SIGHUP: polyglot.toml is read again, and nobody is cut off."""

import json
import os
import signal

RULES = '[apps."*"]\nrules = [{{ channels = "room:*", max_event_bytes = {limit} }}]\n'
BODY = json.dumps({"type": "message", "data": "x" * 300}).encode()


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


def test_a_wrong_file_keeps_the_old_rules_and_is_said(start, tmp_path, wait_until):
    (tmp_path / "polyglot.toml").write_text(RULES.format(limit=1000))
    gateway = start()
    workers = wait_until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers")

    (tmp_path / "polyglot.toml").write_text(RULES.format(limit='"many"'))
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the old rules stay" in gateway.log.read_text(), "the log to say so")
    assert "max_event_bytes" in gateway.log.read_text()
    assert statuses_of_all_workers(gateway) == {200}
    assert gateway.workers() == workers


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
