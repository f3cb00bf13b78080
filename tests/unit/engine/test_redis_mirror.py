import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.mirrors import PATIENCE, Machine, Reader, Worker, cut
from tests.redis_server import RedisServer
from tests.serving import wait_until

from polyglot_gateway.errors import EngineUnavailable

KEY = "polyglot:{demo:room}"


def test_a_join_from_now_on_brings_nothing_old_and_then_what_comes(worker: Worker, publisher: Worker) -> None:
    publisher.publish(*range(1, 101))
    worker.follow()
    assert worker.stands() == (publisher.engine.channel("demo", "room").epoch, 100)
    assert worker.kept() == []
    publisher.publish(101)
    publisher.publish(102, 103)
    worker.wait_for(103)
    assert worker.kept() == [101, 102, 103]


def test_a_join_of_a_channel_without_events_gets_the_first(worker: Worker, publisher: Worker) -> None:
    worker.follow()
    assert worker.stands() == (publisher.engine.channel("demo", "room").epoch, 0)
    reader = Reader(worker, "room", worker.stands())
    publisher.publish("first")
    worker.wait_for("first")
    reader.read_on()
    assert (len(reader.seen), reader.gaps) == (1, [])


@pytest.mark.parametrize("since", [0, 499, 500, 501, 700, 2470, 2499, 2500])
def test_since_reaches_back_to_what_redis_keeps(worker: Worker, publisher: Worker, since: int) -> None:
    publisher.publish(*range(1, 2501))
    worker.follow()
    worker.follow(since=since)
    reader = Reader(worker, "room", (worker.stands()[0], since))
    reader.read_on()
    assert [data for _, _, data in reader.seen] == list(range(max(since, 500) + 1, 2501))
    assert reader.gaps == (["overwritten"] if since < 500 else [])


@pytest.mark.parametrize("is_cold", [True, False])
@pytest.mark.parametrize(("since", "epoch"), [(50, "0123456789abcdef"), (101, ""), (2**60, "")])
def test_a_position_that_means_nothing_gets_all_that_redis_keeps(
    worker: Worker, publisher: Worker, is_cold: bool, since: int, epoch: str
) -> None:
    publisher.publish(*range(1, 101))
    if not is_cold:
        worker.follow()
    worker.follow(since=since, epoch=epoch)
    assert worker.kept() == list(range(1, 101))


def test_two_workers_share_a_history(hire: Callable[..., Worker], publisher: Worker) -> None:
    workers = [hire(), hire()]
    publisher.publish(*range(1, 1001))
    for worker in workers:
        worker.follow()
    readers = [Reader(worker, "room", worker.stands()) for worker in workers]
    for number in range(1001, 1501, 5):
        publisher.publish(*range(number, number + 5))
        # One comes and goes, and reaches back further each time.
        workers[0].follow(since=1501 - number)
        workers[0].mirror.unfollow("demo", "room")
        for reader in readers:
            reader.read_on()
    workers[1].wait_for(1500)
    for reader in readers:
        reader.read_on()
        assert [data for _, _, data in reader.seen] == list(range(1001, 1501))
        assert reader.gaps == []


def test_a_channel_that_was_evicted_here_is_copied_again(hire: Callable[..., Worker], publisher: Worker) -> None:
    worker = hire(history_bytes=1 << 20, max_channels=2)
    publisher.publish(1, 2, 3)
    worker.follow(since=0)
    for number in range(3):
        publisher.publish("other", channel=f"room:{number}")
        worker.follow(f"room:{number}", since=0)
    assert "room" not in {info.channel for info in worker.here.channels("demo")}
    publisher.publish(4)
    worker.wait_for(4)
    assert worker.kept() == [1, 2, 3, 4]
    for number in range(3):
        worker.follow(f"room:{number}", since=0)
    worker.follow(since=0)
    assert worker.kept() == [1, 2, 3, 4]


def test_events_that_made_room_for_others_here_are_asked_for_again(
    hire: Callable[..., Worker], publisher: Worker
) -> None:
    worker = hire(history_bytes=1 << 20)
    publisher.publish(*range(1, 101))
    worker.follow(since=0)
    large = ["x" * 50_000] * 25
    worker.follow("hall")
    publisher.publish(*large, channel="hall")
    wait_until(lambda: worker.stands("hall")[1] == 25, "the hall")
    assert worker.kept() == []
    worker.follow(since=0)
    assert worker.kept() == list(range(1, 101))


def test_a_past_that_is_forgotten_is_gone_here(worker: Worker, publisher: Worker) -> None:
    publisher.publish(1, 2, 3)
    worker.follow(since=0)
    reader = Reader(worker, "room", worker.stands())
    epoch = publisher.engine.forget("demo", "room")
    wait_until(lambda: worker.stands() == (epoch, 0), "the new epoch")
    publisher.publish("new")
    worker.wait_for("new")
    reader.read_on()
    assert reader.seen == [(epoch, 1, "new")]
    assert reader.gaps == ["epoch_changed"]


def test_what_was_flushed_is_gone_here_with_the_next_event(
    redis: RedisServer, worker: Worker, publisher: Worker
) -> None:
    publisher.publish(1, 2, 3)
    worker.follow(since=0)
    reader = Reader(worker, "room", worker.stands())
    redis.client.flushall()
    publisher.publish("new")
    worker.wait_for("new")
    assert worker.stands() == (publisher.engine.channel("demo", "room").epoch, 1)
    reader.read_on()
    assert [data for _, _, data in reader.seen] == ["new"]
    assert reader.gaps == ["epoch_changed"]


@pytest.mark.parametrize("keeps_data", [True, False])
def test_a_redis_that_starts_again_is_followed_again(
    redis: RedisServer, worker: Worker, publisher: Worker, keeps_data: bool
) -> None:
    publisher.publish(1, 2, 3)
    worker.follow(since=0)
    reader = Reader(worker, "room", worker.stands())
    if keeps_data:
        redis.client.save()
    redis.kill()
    redis.start()
    wait_until(lambda: worker.stands()[0] != reader.epoch, "another epoch")
    wait_until(lambda: not publisher.engine.ready(), "the publisher")
    publisher.publish("new")
    worker.wait_for("new")
    left = [1, 2, 3] if keeps_data else []
    assert worker.kept() == [*left, "new"]
    reader.read_on()
    assert [data for _, _, data in reader.seen] == [*left, "new"]
    assert reader.gaps == ["epoch_changed"]


def test_while_redis_is_away_what_is_here_is_served(
    redis: RedisServer, worker: Worker, publisher: Worker, hire: Callable[..., Worker]
) -> None:
    publisher.publish(1, 2)
    worker.follow(since=0)
    worker.follow("empty")
    worker.mirror.unfollow("demo", "room")
    redis.kill()
    for channel in ("room", "empty"):
        worker.follow(channel)
    assert worker.kept() == [1, 2]
    assert isinstance(worker.ask("hall")(), EngineUnavailable)
    assert isinstance(hire("cold").ask("room", since=0)(), EngineUnavailable)
    redis.start()
    wait_until(lambda: not publisher.engine.ready(), "the publisher")
    publisher.publish("new")
    worker.wait_for("new")
    worker.follow("hall")


def test_while_redis_is_away_nothing_spins(redis: RedisServer, worker: Worker) -> None:
    worker.follow()
    redis.kill()
    assert isinstance(worker.ask("hall")(), EngineUnavailable)
    rounds = 0
    count = worker.mirror._round

    def counted(*arguments: Any) -> bool:
        nonlocal rounds
        rounds += 1
        return count(*arguments)

    worker.mirror._round = counted  # type: ignore[method-assign]
    assert not threading.Event().wait(1.0)
    assert rounds <= 10


def test_what_was_said_while_nobody_heard_is_read(redis: RedisServer, worker: Worker, publisher: Worker) -> None:
    worker.follow()
    reader = Reader(worker, "room", worker.stands())
    for number in range(30):
        cut(redis)
        publisher.publish(2 * number, 2 * number + 1)
        worker.wait_for(2 * number + 1)
    reader.read_on()
    assert [data for _, _, data in reader.seen] == list(range(60))
    assert reader.gaps == []


@pytest.mark.parametrize("payload", [
    b"junk", b"\xff\x00", b"0 1 0\n", b"%(epoch)d 5 1\n9 3\nabc", b'%(epoch)d 5 1\n9 11\n{"offset":',
    b"%(epoch)d 9 0\n", b'%(other)d 5 1\n9 12\n{"a":"offset":',
    b"%(epoch)d 4 99999999999\n", b"%(epoch)d 99999999999999999999 0\n",
])  # fmt: skip
def test_what_makes_no_sense_changes_nothing_and_has_the_stream_read(
    redis: RedisServer, worker: Worker, publisher: Worker, payload: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.publish(1, 2, 3, 4)
    worker.follow(since=0)
    before = worker.stands()
    reads = redis.client.info("commandstats")["cmdstat_fcall_ro"]["calls"]
    number = int(before[0], 16)
    assert redis.client.execute_command("SPUBLISH", KEY, payload % {b"epoch": number, b"other": number + 1}) == 1
    wait_until(lambda: redis.client.info("commandstats")["cmdstat_fcall_ro"]["calls"] > reads, "the stream to be read")
    assert (worker.stands(), worker.kept()) == (before, [1, 2, 3, 4])
    assert "the mirror failed" not in capsys.readouterr().out
    publisher.publish(5)
    worker.wait_for(5)
    assert worker.kept() == [1, 2, 3, 4, 5]


def test_a_channel_that_redis_refuses_is_in_no_others_way(
    redis: RedisServer, worker: Worker, publisher: Worker
) -> None:
    redis.client.set("polyglot:{demo:bad}", "no stream")
    answers = {channel: worker.ask(channel) for channel in ("room", "bad", "hall")}
    assert answers["room"]() is None
    assert answers["hall"]() is None
    refusal = answers["bad"]()
    assert isinstance(refusal, EngineUnavailable)
    assert "WRONGTYPE" in refusal.message
    for number in range(3):
        for channel in ("room", "hall"):
            publisher.publish(number, channel=channel)
            worker.wait_for(number, channel)
        redis.client.execute_command("SPUBLISH", "polyglot:{demo:bad}", b"")
    redis.client.delete("polyglot:{demo:bad}")
    worker.follow("bad")
    publisher.publish("good", channel="bad")
    worker.wait_for("good", "bad")


@pytest.mark.parametrize("what", ["hole here", "hole elsewhere", "older"])
def test_a_stream_that_another_hand_was_in_is_in_no_others_way(
    redis: RedisServer, worker: Worker, publisher: Worker, what: str
) -> None:
    publisher.publish(0)
    older = redis.client.dump(KEY)
    if what == "hole here":
        worker.follow(since=0)
        worker.mirror.unfollow("demo", "room")
        wait_until(lambda: redis.client.pubsub_shardnumsub(KEY) == [(KEY.encode(), 0)], "the end of it")
    for number in range(1, 4):
        publisher.publish(number)
    if what == "older":
        worker.follow(since=0)
        redis.client.restore(KEY, 0, older, replace=True)
    else:
        redis.client.xdel(KEY, redis.client.xrange(KEY)[2][0])
    worker.follow(since=0)
    worker.follow("hall")
    publisher.publish("new", channel="hall")
    worker.wait_for("new", "hall")
    publisher.engine.forget("demo", "room")
    publisher.publish("new")
    worker.wait_for("new")


@pytest.mark.parametrize("is_told", [True, False])
def test_an_event_that_has_no_room_here_is_told_to_be_missing(
    hire: Callable[..., Worker], publisher: Worker, is_told: bool
) -> None:
    worker = hire(history_bytes=1 << 20)
    publisher.publish(1, 2)
    worker.follow(since=0)
    reader = Reader(worker, "room", worker.stands())
    if is_told:
        worker.mirror.unfollow("demo", "room")
    publisher.publish("x" * 300_000)
    publisher.publish("last")
    if is_told:
        worker.follow()
    worker.wait_for("last")
    reader.read_on()
    assert [data for _, _, data in reader.seen] == ["last"]
    assert reader.gaps == ["overwritten"]
    worker.follow("hall")


def test_a_channel_that_goes_on_meanwhile_is_reached_back_all_the_same(
    hire: Callable[..., Worker], publisher: Worker
) -> None:
    worker, other = hire(), hire()
    publisher.publish(*range(1, 101))
    for one in (worker, other):
        one.follow()
    read_all = worker.mirror._reader.read_all
    number = 100

    def read_slowly(queries: Any) -> Any:
        nonlocal number
        answers = read_all(queries)
        number += 1
        publisher.publish(number)
        wait_until(lambda: other.stands()[1] == number, "the other worker")
        return answers

    worker.mirror._reader.read_all = read_slowly  # type: ignore[method-assign]
    worker.follow(since=0)
    last = number
    worker.wait_for(last)
    assert worker.kept() == list(range(1, last + 1))


def test_a_dead_connection_is_looked_for_while_much_happens(redis: RedisServer, worker: Worker) -> None:
    worker.follow()

    def pings() -> int:
        worker.mirror.unfollow("demo", "hall")
        found: int = redis.client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]
        return found

    before = pings()
    wait_until(lambda: pings() > before + 1, "a look at the connections")


def test_a_channel_that_is_followed_again_has_what_came_meanwhile(
    redis: RedisServer, worker: Worker, publisher: Worker
) -> None:
    for number in range(0, 40, 2):
        worker.follow()
        publisher.publish(number)
        worker.wait_for(number)
        worker.mirror.unfollow("demo", "room")
        wait_until(lambda: redis.client.pubsub_shardnumsub(KEY) == [(KEY.encode(), 0)], "the end of it")
        publisher.publish(number + 1)
    assert worker.stands()[1] == 39
    worker.follow()
    assert worker.kept() == list(range(40))


def test_an_unfollow_right_before_a_follow_ends_nothing(worker: Worker, publisher: Worker) -> None:
    worker.follow()
    for number in range(50):
        worker.mirror.unfollow("demo", "room")
        answer = worker.ask()
        publisher.publish(number)
        assert answer() is None
        worker.wait_for(number)
    assert worker.kept() == list(range(50))


def test_many_who_ask_at_once_are_all_answered(worker: Worker, publisher: Worker) -> None:
    publisher.publish(*range(10))
    answers = [worker.ask(f"room:{number % 7}" if number % 2 else "room", since=0) for number in range(350)]
    assert {answer() for answer in answers} == {None}
    assert worker.kept() == list(range(10))


def test_stop_ends_a_mirror_that_follows_and_waits(hire: Callable[..., Worker]) -> None:
    worker = hire()
    worker.follow()
    worker.mirror.stop()
    worker.mirror.stop()
    worker._thread.join(PATIENCE)
    assert not worker._thread.is_alive()


def test_whoever_follows_sees_each_event_or_is_told(redis: RedisServer, tmp_path: Path) -> None:
    examples = itertools.count()
    bounds = settings(max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(lambda: Machine(redis, tmp_path / str(next(examples))), settings=bounds)
