"""kill -9 of everything under load: what was acknowledged is there, in order, and goes on from there."""

import collections
import http.client
import json
import os
import signal
import threading

import pytest

CLIENTS = 8
CHANNELS = 3


class Publisher(threading.Thread):
    """Publishes numbered events in turn to the channels until the gateway is gone, and remembers what it was told."""

    def __init__(self, gateway, number: int, progress: threading.Semaphore) -> None:
        super().__init__()
        self.gateway, self.number, self.progress = gateway, number, progress
        self.acked: list[tuple[str, dict]] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=10)
        headers = {"X-API-Key": "valid_key_demo", "Content-Type": "application/json"}
        try:
            while True:
                channel = f"room:{len(self.acked) % CHANNELS}"
                body = json.dumps({"type": "message", "data": [self.number, len(self.acked)]})
                connection.request("POST", f"/apps/demo/channels/{channel}/publish", body, headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
                assert response.status == 200, answer
                self.acked.append((channel, {"data": [self.number, len(self.acked)], **answer}))
                self.progress.release()
        except (OSError, http.client.HTTPException):
            connection.close()


def kept_events(gateway, channel: str) -> list[dict]:
    events, since = [], 0
    while (page := gateway.history(channel, f"since={since}&limit=1000"))["count"]:
        assert page["gap"] is None
        events += page["events"]
        since = events[-1]["offset"]
    return events


def crash_and_check(start, rounds: int, acks_before_the_kill: int) -> None:
    acked = collections.defaultdict(list)
    for _ in range(rounds):
        gateway = start("--history-size", "65535", MAX_CHANNELS="10")
        progress = threading.Semaphore(0)
        publishers = [Publisher(gateway, number, progress) for number in range(CLIENTS)]
        for publisher in publishers:
            publisher.start()
        for _ in range(acks_before_the_kill):
            assert progress.acquire(timeout=20)
        gateway.kill_everything()
        for publisher in publishers:
            publisher.join(20)
            for channel, ack in publisher.acked:
                acked[channel].append(ack)

    gateway = start("--history-size", "65535", MAX_CHANNELS="10")
    assert sum(map(len, acked.values())) >= rounds * acks_before_the_kill
    for channel, acks in acked.items():
        events = kept_events(gateway, channel)
        assert [event["offset"] for event in events] == list(range(1, len(events) + 1))
        by_offset = {event["offset"]: event for event in events}
        assert len({ack["offset"] for ack in acks}) == len(acks)
        for ack in acks:
            event = by_offset[ack["offset"]]
            assert (event["id"], event["data"]) == (ack["id"], ack["data"])
        assert len({ack["epoch"] for ack in acks}) == 1
        assert gateway.publish(channel, "after")["offset"] == len(events) + 1


def test_everything_killed_under_load_loses_nothing_that_was_acknowledged(start):
    crash_and_check(start, rounds=2, acks_before_the_kill=300)


@pytest.mark.slow
def test_killed_again_and_again_it_still_loses_nothing(start):
    crash_and_check(start, rounds=15, acks_before_the_kill=400)


def test_a_stream_resumes_across_the_death_of_its_worker(gateway, wait_until):
    stream = gateway.subscribe("room:1", "?since=0")
    for number in range(3):
        gateway.publish("room:1", number)
    assert [stream.next()[1]["data"] for _ in range(3)] == [0, 1, 2]
    for pid in wait_until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers"):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises((EOFError, OSError)):
        stream.next()
    wait_until(gateway.is_ready, "new workers")
    for number in range(3, 6):
        gateway.publish("room:1", number)
    resumed = gateway.subscribe("room:1", last_event_id=stream.last_id)
    assert [resumed.next()[1]["data"] for _ in range(3)] == [3, 4, 5]
    gateway.publish("room:1", 6)
    assert resumed.next()[1]["data"] == 6
