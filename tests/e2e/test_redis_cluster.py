"""Engines on a Redis cluster: whatever moves or dies, what was acknowledged is delivered, or its loss is told."""

import contextlib
import json
import select
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.followers import StreamFollower
from tests.redis_server import RedisCluster
from tests.serving import Gateway, wait_until

from polyglot_gateway import _core
from polyglot_gateway.cli.doctor_checks import check_redis
from polyglot_gateway.engine.base import Ack
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.redis import RedisEngine
from polyglot_gateway.engine.redis_feed import RedisFeed
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import LIBRARY, RedisLink
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS, pack
from polyglot_gateway.errors import EngineDown, EngineUnavailable
from polyglot_gateway.settings import load_settings

CHANNELS = [f"room:{number}" for number in range(12)]
"""On all of the masters."""

Open = Callable[[RedisCluster], RedisEngine]


def key(channel: str) -> str:
    return f"polyglot:{{demo:{channel}}}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """For tests after which it is as before."""
    with contextlib.closing(RedisCluster(tmp_path_factory.mktemp("cluster"))) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _empty(cluster: RedisCluster) -> None:
    cluster.wait_until_ready()
    for master in cluster.masters:
        master.client.flushall()


@pytest.fixture
def open_engine(tmp_path: Path) -> Iterator[Open]:
    with contextlib.ExitStack() as stack:

        def open_one(cluster: RedisCluster) -> RedisEngine:
            folder = str(tmp_path / f"data-{time.monotonic_ns()}")
            local = EmbeddedEngine(folder, history_bytes=1 << 20, max_channels=10)
            local.configure(_core.Access(development=True), _core.Rules(_core.ChannelRule()))
            engine = RedisEngine(local, cluster.url)
            stack.callback(engine.close)
            return engine

        yield open_one


@pytest.fixture
def link(cluster: RedisCluster) -> Iterator[RedisLink]:
    link = RedisLink(cluster.url)
    yield link
    link.close()


def publish(engine: RedisEngine, channel: str, data: str, key: str = "") -> Ack:
    return engine.publish("demo", channel, json.dumps({"type": "t", "data": data}).encode(), key)


class Publisher(threading.Thread):
    """Publishes to all channels in turn, each event under a key and again until it is acknowledged."""

    def __init__(self, engine: RedisEngine) -> None:
        super().__init__(daemon=True)
        self.engine = engine
        self.acks: list[tuple[str, str, int, str]] = []  # channel, epoch, offset, data
        self.refused: list[str] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        waiting = dict.fromkeys(CHANNELS, "")
        while not self.stopped.is_set():
            for channel in CHANNELS:
                data = waiting[channel] = waiting[channel] or str(uuid.uuid4())
                try:
                    ack = publish(self.engine, channel, data, data)
                except EngineDown:
                    self.refused.append(channel)
                else:
                    self.acks.append((channel, ack.epoch, ack.offset, data))
                    waiting[channel] = ""

    def wait_for(self, more: int, *channels: str) -> None:
        """Return when so many more are acknowledged in each of the channels."""
        begin = len(self.acks)

        def enough() -> bool:
            new = [ack[0] for ack in self.acks[begin:]]
            return all(new.count(channel) >= more for channel in channels or CHANNELS)

        wait_until(enough, f"{more} more acknowledgements")


class Follower(threading.Thread):
    """Reads what the feed tells of, and nothing else."""

    def __init__(self, engine: RedisEngine) -> None:
        super().__init__(daemon=True)
        self.engine = engine
        self.feed = engine.follow()
        self.got: dict[tuple[str, str, int], str] = {}
        self.duplicated = 0
        self.gaps: list[tuple[str, str]] = []  # channel, epoch that ended
        self.missed = 0
        self.positions = {}
        self.behind: set[str] = set()
        self.stopped = threading.Event()
        for channel in CHANNELS:
            self.feed.watch("demo", channel)
            page = engine.read("demo", channel)
            self.positions[channel] = page.offset, page.epoch

    def run(self) -> None:
        while not self.stopped.is_set():
            select.select([self.feed.fileno()], [], [], 0.5)
            news, missed = self.feed.poll()
            self.missed += missed
            self.behind |= set(CHANNELS) if missed else {channel for _, channel in news}
            for channel in sorted(self.behind):
                with contextlib.suppress(EngineDown):
                    self.read(channel)
                    self.behind.remove(channel)

    def read(self, channel: str) -> None:
        while True:
            page = self.engine.read("demo", channel, *self.positions[channel])
            if page.gap:
                assert page.gap.reason == "epoch_changed"
                self.gaps.append((channel, self.positions[channel][1]))
            for offset, envelope in page.events:
                place = channel, page.epoch, offset
                self.duplicated += place in self.got
                self.got[place] = json.loads(envelope)["data"]
            self.positions[channel] = page.offset, page.epoch
            if not page.events and not page.gap:
                return

    def has(self, publisher: Publisher) -> bool:
        """Whether all is delivered or told that was acknowledged."""
        return not self.silent(publisher)

    def silent(self, publisher: Publisher) -> list[tuple[str, str, int, str]]:
        """What was acknowledged, and neither delivered nor covered by a gap."""
        return [
            ack
            for ack in publisher.acks
            if self.got.get(ack[:3]) != ack[3] and (ack[0], ack[1]) not in self.gaps
        ]  # fmt: skip


@contextlib.contextmanager
def counting(publishing: RedisEngine, following: RedisEngine) -> Iterator[tuple[Publisher, Follower]]:
    """Both are at work in the block; afterwards nothing may be missing in silence, nor have come twice."""
    publisher, follower = Publisher(publishing), Follower(following)
    for thread in (publisher, follower):
        thread.start()
    try:
        publisher.wait_for(3)
        yield publisher, follower
        publisher.wait_for(3)
        publisher.stopped.set()
        publisher.join()
        wait_until(partial(follower.has, publisher), "all that was acknowledged to be delivered or told")
        assert follower.duplicated == 0
    finally:
        for thread in (publisher, follower):
            thread.stopped.set()
            thread.join()


def test_all_masters_have_channels(cluster: RedisCluster) -> None:
    assert len({cluster.master_of(key(channel)) for channel in CHANNELS}) == 3


def test_what_is_sent_to_all_masters_is_answered_in_order(link: RedisLink) -> None:
    calls = [(f"k{number}", pack("SET", f"k{number}", number)) for number in range(100)]
    calls += [(f"k{number}", pack("GET", f"k{number}")) for number in range(100)]
    assert link.send_packed(calls) == [b"OK"] * 100 + [b"%d" % number for number in range(100)]


def test_each_master_is_given_the_functions_that_it_lacks(cluster: RedisCluster, link: RedisLink) -> None:
    begin = [("FCALL", f"{LIBRARY}_begin", 1, key(channel), 7, 60_000) for channel in CHANNELS]
    for lacking in (cluster.masters, cluster.masters[1:2]):
        for master in lacking:
            master.client.execute_command("FUNCTION", "FLUSH", "SYNC")
        assert link.send(begin) == [b"OK"] * len(CHANNELS)
        assert all(master.client.execute_command("FUNCTION", "LIST") for master in cluster.masters)


def test_the_worst_of_all_masters_is_said(cluster: RedisCluster, link: RedisLink) -> None:
    assert (link.trouble(), link.forgets()) == ("", "")
    assert link.version() >= (7, 0, 0)
    one = cluster.masters[1].client
    one.config_set("maxmemory", 1 << 30)
    one.config_set("maxmemory-policy", "allkeys-lru")
    assert link.forgets() == "allkeys-lru"
    one.config_set("maxmemory", 0)
    one.config_set("maxmemory-policy", "noeviction")
    with cluster.masters[1].paused():
        assert link.trouble() == "", "the others can be used"
    with contextlib.ExitStack() as stack:
        for master in cluster.masters:
            stack.enter_context(master.paused())
        assert "Redis does not answer" in link.trouble()


def test_the_doctor_asks_all_masters(cluster: RedisCluster) -> None:
    settings = load_settings(redis_url=cluster.url)
    assert check_redis(settings).level == "ok"
    with cluster.masters[2].paused():
        assert check_redis(settings).level == "fail"


def test_who_takes_a_cluster_for_one_redis_is_told(cluster: RedisCluster) -> None:
    link = RedisLink(f"redis://127.0.0.1:{cluster.masters[0].port}")
    away = next(channel for channel in CHANNELS if cluster.master_of(key(channel)) is not cluster.masters[0])
    with pytest.raises(EngineUnavailable, match="begin with cluster://"):
        link.ask("GET", key(away))
    link.close()


def test_a_batch_over_all_masters(cluster: RedisCluster, open_engine: Open) -> None:
    engine = open_engine(cluster)
    body = json.dumps({"channels": CHANNELS, "type": "t", "data": 1}).encode()
    for offset in (1, 2):
        results = json.loads(engine.broadcast("demo", body))["results"]
        assert [(result["channel"], result["offset"]) for result in results] == [(one, offset) for one in CHANNELS]
    assert [info.channel for info in engine.channels("demo")] == sorted(CHANNELS)


def test_while_a_slot_moves(cluster: RedisCluster, open_engine: Open) -> None:
    """Its keys are moved one by one; meanwhile there are two who may have them."""
    engine = open_engine(cluster)
    first = publish(engine, "room:0", "before")
    source = cluster.master_of(key("room:0"))
    target = next(master for master in cluster.masters if master is not source)
    with cluster.moving(key("room:0"), target):
        second = publish(engine, "room:0", "while it moves")
        with pytest.raises(EngineDown):
            publish(engine, "room:0", "under a key, which is not where the stream is", "idempotent")
        page = engine.read("demo", "room:0", 0, second.epoch)
        assert (len(page.events), page.gap) == (2, None)
    third = publish(engine, "room:0", "after", "idempotent")
    assert (first.offset, second.offset, third.offset) == (1, 2, 3)
    assert first.epoch != second.epoch == third.epoch, "another process is the master now"
    with cluster.moving(key("room:0"), source):
        pass
    assert publish(engine, "room:0", "after", "idempotent").replayed
    page = engine.read("demo", "room:0", 3, third.epoch)
    assert page.gap
    assert page.gap.reason == "epoch_changed"


def test_slots_that_move_while_events_are_published_and_followed(cluster: RedisCluster, open_engine: Open) -> None:
    with counting(open_engine(cluster), open_engine(cluster)) as (publisher, follower):
        for channel in CHANNELS[:4]:
            source = cluster.master_of(key(channel))
            target = next(master for master in cluster.masters if master is not source)
            with cluster.moving(key(channel), target):
                publisher.wait_for(2, *CHANNELS[4:])
            publisher.wait_for(2)
    assert {channel for channel, _ in follower.gaps} == set(CHANNELS[:4]), "where another master is, and nowhere else"
    assert follower.missed


def test_a_feed_finds_a_slot_that_moved(cluster: RedisCluster, link: RedisLink) -> None:
    keys = RedisKeys("polyglot")
    feed = RedisFeed(link, keys)
    link.ask("GET", key("room:0"))
    source = cluster.master_of(key("room:0"))
    target = next(master for master in cluster.masters if master is not source)
    with cluster.moving(key("room:0"), target):
        pass
    feed.watch("demo", "room:0")
    assert feed.poll() == ([], False)
    assert target.client.execute_command("SPUBLISH", key("room:0"), "there") == 1
    with cluster.moving(key("room:0"), source):
        pass
    wait_until(lambda: feed.poll()[1], "the feed to say that it may have missed something")
    assert source.client.execute_command("SPUBLISH", key("room:0"), "back") == 1
    feed.check()
    assert feed.take() == ([("demo", "room:0", b"back")], False)
    feed.close()


def can_be_read(engine: RedisEngine, channel: str) -> bool:
    try:
        engine.read("demo", channel)
    except EngineDown:
        return False
    return True


def test_a_master_that_is_gone(tmp_path: Path, open_engine: Open) -> None:
    with contextlib.closing(RedisCluster(tmp_path / "cluster")) as cluster:
        engine = open_engine(cluster)
        gone = cluster.master_of(key("room:0"))
        lost = [channel for channel in CHANNELS if cluster.master_of(key(channel)) is gone]
        with counting(engine, open_engine(cluster)) as (publisher, _):
            gone.kill()
            publisher.wait_for(5, *[channel for channel in CHANNELS if channel not in lost])
            assert set(publisher.refused) == set(lost)
            began = time.monotonic()
            body = json.dumps({"channels": CHANNELS, "type": "t", "data": 1}).encode()
            results = json.loads(engine.broadcast("demo", body))["results"]
            assert [one["channel"] for one in results if one.get("code") == "engine_unavailable"] == lost
            with pytest.raises(EngineDown):
                engine.read("demo", "room:0")
            assert time.monotonic() - began < ANSWER_SECONDS
            assert engine.ready() == [], "the other channels go on"
            gone.start()
            wait_until(lambda: can_be_read(engine, "room:0"), "the master to be back")


def test_a_replica_that_takes_over(tmp_path: Path, open_engine: Open) -> None:
    with contextlib.closing(RedisCluster(tmp_path / "cluster", replicas=1)) as cluster:
        gone = cluster.master_of(key("room:0"))
        lost = {channel for channel in CHANNELS if cluster.master_of(key(channel)) is gone}
        with counting(open_engine(cluster), open_engine(cluster)) as (publisher, follower):
            gone.kill()
            publisher.wait_for(5)
        assert {channel for channel, _ in follower.gaps} == lost
        # What is asked to take over does so without an end of any connection.
        replica = next(one for one in cluster.replicas if one.client.info("replication")["role"] == "slave")
        with counting(open_engine(cluster), open_engine(cluster)) as (publisher, follower):
            replica.client.execute_command("CLUSTER", "FAILOVER")
            wait_until(lambda: replica.client.info("replication")["role"] == "master", "the takeover")
            told = partial(replica.client.execute_command, "PUBSUB", "SHARDCHANNELS")
            wait_until(told, "the follower to go to the new master")
        assert follower.missed


def test_instances_behave_as_one(cluster: RedisCluster, spawn: Callable[..., Gateway]) -> None:
    one, two = (
        spawn("--workers", "1", REDIS_URL=cluster.url, DATA_DIR=f"data-{number}", LOG_LEVEL="error")
        for number in range(2)
    )
    one.wait_until_ready()
    two.wait_until_ready()
    followers = {channel: StreamFollower(two.port, channel, since=0).follow() for channel in CHANNELS}
    for number in range(5):
        for channel in CHANNELS:
            one.publish(channel, number)
    for channel, follower in followers.items():
        follower.wait_for(5)
        assert (follower.place.data, follower.place.gaps) == (list(range(5)), [])
        follower.stop()
        assert one.history(channel) == two.history(channel)


def test_a_user_with_the_rights_that_the_documentation_names(cluster: RedisCluster) -> None:
    said = (Path(__file__).parents[2] / "docs" / "instances.md").read_text()
    rights = said.partition("`ACL SETUSER polyglot on >secret ")[2].partition("`")[0].split()
    for master in cluster.masters:
        master.client.execute_command("ACL", "SETUSER", "polyglot", "on", ">secret", *rights)
    link = RedisLink(cluster.url.replace("://", "://polyglot:secret@"))
    assert link.trouble() == ""
    assert link.send([("FCALL", f"{LIBRARY}_begin", 1, key(channel), 7, 60_000) for channel in CHANNELS])
    link.close()
