"""Limits of apps over all workers: sockets, workers that die, and SIGHUP."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.processes import serving_workers, worker_of
from tests.websocket import Closed, Refused, WebSocket

LIMITS = "[apps.demo.limits]\n"
DOCUMENT = Path(__file__).parents[2] / "docs" / "limits.md"


@pytest.fixture
def limited(start, tmp_path):
    def with_limits(text, *arguments):
        (tmp_path / "polyglot.toml").write_text(LIMITS + text)
        return start(*arguments)

    return with_limits


def used(gateway, quota):
    return json.loads(gateway.request("GET", "/apps/demo/limits").body)[quota]["used"]


def statuses(gateway, count):
    body = json.dumps({"type": "t", "data": 1}).encode()
    return [gateway.request("POST", "/apps/demo/channels/room/publish", body).status for _ in range(count)]


def test_workers_share_a_rate(limited):
    gateway = limited("events_per_second = 1\nevents_burst = 40\n")
    answers = statuses(gateway, 60)
    # Whatever the workers are that were asked, and however long it took.
    assert answers[:40] == [200] * 40
    assert answers.count(200) < 60
    assert len(gateway.history("room")["events"]) == answers.count(200)


def test_a_socket_too_many_is_refused_before_the_upgrade(limited, wait_until):
    gateway = limited("connections = 3\n")
    sockets = [WebSocket(gateway.port), WebSocket(gateway.port)]
    stream = gateway.subscribe("room")
    assert used(gateway, "connections") == 3
    with pytest.raises(Refused) as refused:
        WebSocket(gateway.port)
    answer = refused.value.args[0]
    assert (answer.status, answer.json()["code"], answer.field("retry-after")) == (429, "rate_limited", "1")
    query = urlencode({"vsn": "2.0.0", "app_id": "demo", "token": "valid_key_demo"})
    longpoll = json.loads(gateway.request("GET", f"/socket/longpoll?{query}").body)
    assert (longpoll["status"], longpoll["code"]) == (403, "rate_limited")
    WebSocket(gateway.port, app="other").close()

    sockets.pop().close()
    wait_until(lambda: used(gateway, "connections") == 2, "the socket to end")
    longpoll = json.loads(gateway.request("GET", f"/socket/longpoll?{query}").body)
    assert longpoll["token"]
    assert used(gateway, "connections") == 3
    stream.close()
    wait_until(lambda: used(gateway, "connections") == 2, "the stream to end")


def test_a_join_too_many_is_refused_and_a_leave_makes_room(limited):
    gateway = limited("subscriptions = 2\n")
    one, two = WebSocket(gateway.port), WebSocket(gateway.port)
    one.join("a")
    two.join("a")
    for socket in (one, two):
        code, error = socket.refusal(socket.ask_to_join("b"))
        assert (code, error) == ("rate_limited", "The app has 2 subscriptions open, the most that its limits allow.")
    two.leave("a")
    one.join("b")
    one.join("b")  # in place of the one before
    assert used(gateway, "subscriptions") == 2


def test_what_a_socket_publishes_counts(limited):
    gateway = limited("events_per_second = 1\nevents_burst = 50\nchannels = 1\n")
    socket = WebSocket(gateway.port)
    socket.join("room")
    socket.join("another")
    for _ in range(50):
        socket.publish("room", 1)
    refs = [socket.push("room", "publish", {"type": "t", "data": 1}) for _ in range(20)]
    codes = [socket.reply(ref) for ref in refs]
    refused = [response for status, response in codes if status == "error"]
    assert refused
    assert {response["code"] for response in refused} == {"rate_limited"}
    assert 429 in statuses(gateway, 20)


def test_a_socket_cannot_make_a_channel_too_many(limited):
    gateway = limited("channels = 1\n")
    socket = WebSocket(gateway.port)
    socket.join("room")
    socket.join("another")
    socket.publish("room", 1)
    code, error = socket.refusal(socket.push("another", "publish", {"type": "t", "data": 1}))
    assert code == "rate_limited"
    assert "channels" in error
    socket.publish("room", 2)


@pytest.mark.parametrize("server", ["native", "wsgi"])
def test_what_a_killed_worker_had_open_is_free_at_once(limited, wait_until, server):
    gateway = limited("connections = 8\n", "--server", server)
    workers = wait_until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers")
    streams = [gateway.subscribe("room") for _ in range(8)]
    assert used(gateway, "connections") == 8
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not set(workers) & set(gateway.workers()), "the workers' end")
    wait_until(gateway.is_ready, "new workers")
    assert used(gateway, "connections") == 0
    again = [gateway.subscribe("room") for _ in range(8)]
    assert used(gateway, "connections") == 8
    for stream in (*streams, *again):
        stream.close()


def test_a_living_worker_keeps_what_it_has(limited, wait_until):
    gateway = limited("connections = 100\n")
    workers = serving_workers(gateway)
    sockets = {worker: [] for worker in workers}
    while not all(sockets.values()):
        socket = WebSocket(gateway.port)
        sockets[worker_of(gateway, socket)].append(socket)
    dies, lives = workers
    os.kill(dies, signal.SIGKILL)
    for socket in sockets[dies]:
        with pytest.raises((Closed, ConnectionError)):
            socket.message()
    wait_until(lambda: used(gateway, "connections") == len(sockets[lives]), "the dead worker's to be free")


def test_new_limits_come_with_sighup_and_disturb_nobody(limited, tmp_path, wait_until):
    gateway = limited("events_per_second = 1\nevents_burst = 40\nconnections = 1\n")
    socket = WebSocket(gateway.port)
    assert 429 in statuses(gateway, 60)
    (tmp_path / "polyglot.toml").write_text(LIMITS + "events_per_second = 100_000\nconnections = 2\n")
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: set(statuses(gateway, 12)) == {200}, "the new limits")
    second = WebSocket(gateway.port)
    assert used(gateway, "connections") == 2
    (tmp_path / "polyglot.toml").write_text("")
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: json.loads(gateway.request("GET", "/apps/demo/limits").body)["connections"] is None, "no limits")
    socket.join("room")
    second.join("room")


def test_the_limits_do_not_outlive_a_restart(limited, start):
    gateway = limited("events_per_second = 1\nevents_burst = 40\n")
    assert 429 in statuses(gateway, 60)
    assert gateway.stop() == 0
    again = start()
    assert statuses(again, 20) == [200] * 20


def test_the_commands_of_the_document_print_what_it_shows(start, tmp_path):
    text = DOCUMENT.read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == ["toml", "bash", "", "json"]
    toml, shell, fields, shown = (block for _, block in blocks)
    (tmp_path / "polyglot.toml").write_text(toml)
    gateway = start()
    command = shell.replace("localhost:4000", f"127.0.0.1:{gateway.port}")
    printed = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=True)
    *told, answer = printed.stdout.splitlines()
    # Some of it may be there again by then, of the bytes at once.
    changes = re.compile(r'("bytes");r=\d+;t=\d+')
    assert [changes.sub(r"\1", line) for line in told] == changes.sub(r"\1", fields).splitlines()
    assert set(json.loads(answer)) == set(json.loads(shown))
    assert json.loads(answer)["channels"] == json.loads(shown)["channels"]
    assert json.loads(answer)["events"]["burst"] == json.loads(shown)["events"]["burst"]
    assert gateway.request("GET", "/apps/another/limits", app="another").status == 200
