import threading
import time
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from polyglot_gateway.engine.base import Feed
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import EngineUnavailable, StorageBusy
from polyglot_gateway.realtime.hub import Hub

EVENT = b'{"type":"t","data":1}'
PATIENCE = 5.0


@pytest.fixture
def hub(engine: EmbeddedEngine) -> Iterator[Hub]:
    hub = Hub(engine.follow)
    yield hub
    hub.close()


def followers() -> int:
    return sum(thread.name == "feed" for thread in threading.enumerate())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_subscription_hears_of_its_channel_only(engine: EmbeddedEngine, hub: Hub) -> None:
    room, hall, other_app = hub.subscribe("demo", "room"), hub.subscribe("demo", "hall"), hub.subscribe("other", "room")
    engine.publish("demo", "room", EVENT)
    assert room.news.wait(PATIENCE)
    engine.publish("demo", "hall", EVENT)
    assert hall.news.wait(PATIENCE)  # what came before it has been told by now
    assert not other_app.news.is_set()


def test_all_subscriptions_of_a_channel_hear(engine: EmbeddedEngine, hub: Hub) -> None:
    waiting = [hub.subscribe("demo", "room") for _ in range(20)]
    engine.publish("demo", "room", EVENT)
    assert all(subscription.news.wait(PATIENCE) for subscription in waiting)


def test_the_follower_starts_with_the_first_subscription(hub: Hub) -> None:
    assert followers() == 0
    hub.subscribe("demo", "a")
    hub.subscribe("demo", "b")
    assert followers() == 1


def test_only_a_reader_who_does_not_take_what_is_sent_is_cut_off(hub: Hub) -> None:
    cuts: list[str] = []
    subscription = hub.subscribe("demo", "room", lambda: cuts.append("cut"))
    assert not subscription.cut_if_stalled(0)
    subscription.sending_since = time.monotonic()
    assert subscription.cut_if_stalled(60)
    assert not cuts
    subscription.sending_since -= 61
    assert subscription.cut_if_stalled(60)
    assert cuts == ["cut"]


def test_a_cancelled_subscription_is_gone(engine: EmbeddedEngine, hub: Hub) -> None:
    gone, stays = hub.subscribe("demo", "room"), hub.subscribe("demo", "room")
    hub.unsubscribe(gone)
    hub.unsubscribe(gone)
    assert hub.count() == 1
    engine.publish("demo", "room", EVENT)
    assert stays.news.wait(PATIENCE)
    assert not gone.news.is_set()


def test_the_feed_watches_what_is_subscribed_to(engine: EmbeddedEngine) -> None:
    class Watching:
        """Writes down what is watched, and does not let some be."""

        def __init__(self, feed: Feed) -> None:
            self._feed = feed
            self.fileno = feed.fileno
            self.poll = feed.poll
            self.watched: list[tuple[str, str]] = []

        def watch(self, app: str, channel: str) -> None:
            if channel == "forbidden":
                raise EngineUnavailable("forbidden")
            self.watched.append((app, channel))

        def unwatch(self, app: str, channel: str) -> None:
            self.watched.remove((app, channel))

    feed = Watching(engine.follow())
    hub = Hub(lambda: feed)
    one, two = hub.subscribe("demo", "room"), hub.subscribe("demo", "room")
    assert feed.watched == [("demo", "room")] * 2
    for _ in range(2):
        hub.unsubscribe(one)
    assert feed.watched == [("demo", "room")]
    with pytest.raises(EngineUnavailable, match="forbidden"):
        hub.subscribe("demo", "forbidden")
    assert hub.count() == 1
    hub.unsubscribe(two)
    assert feed.watched == []
    hub.close()


def test_an_overrun_wakes_everybody(hub: Hub, engine: EmbeddedEngine) -> None:
    class Overrun:
        """A feed that once was overrun; to bring a real one there takes a log full of events in one moment."""

        def __init__(self, feed: Feed) -> None:
            self._feed = feed
            self._told = False

        def fileno(self) -> int:
            return self._feed.fileno()

        def watch(self, app: str, channel: str) -> None:
            self._feed.watch(app, channel)

        def unwatch(self, app: str, channel: str) -> None:
            self._feed.unwatch(app, channel)

        def poll(self) -> tuple[list[tuple[str, str]], bool]:
            news, overrun = self._feed.poll()
            overrun = overrun or (bool(news) and not self._told)
            self._told = self._told or overrun
            return [], overrun

    overrun = Hub(lambda: Overrun(engine.follow()))
    silent = overrun.subscribe("demo", "silent")
    overrun.subscribe("demo", "room")
    engine.publish("demo", "room", EVENT)
    assert silent.news.wait(PATIENCE)
    overrun.close()


def test_draining_wakes_everybody_and_takes_nobody(hub: Hub) -> None:
    waiting = hub.subscribe("demo", "room")
    assert not hub.draining
    hub.drain()
    hub.drain()
    assert hub.draining
    assert waiting.news.is_set()
    with pytest.raises(EngineUnavailable, match="shutting down"):
        hub.subscribe("demo", "room")


def test_closing_stops_the_follower(hub: Hub) -> None:
    hub.subscribe("demo", "room")
    hub.close()
    hub.close()
    assert followers() == 0


def test_the_feed_is_free_again_after_closing(engine: EmbeddedEngine, hub: Hub) -> None:
    hub.subscribe("demo", "room")
    with pytest.raises(StorageBusy):
        engine.follow()
    hub.close()
    assert engine.follow().fileno() >= 0


def test_a_follower_that_stopped_is_said_and_started_again(engine: EmbeddedEngine) -> None:
    class Failing:
        def __init__(self, feed: Feed) -> None:
            self._feed = feed
            self.broken = True

        def fileno(self) -> int:
            return self._feed.fileno()

        def watch(self, app: str, channel: str) -> None:
            self._feed.watch(app, channel)

        def unwatch(self, app: str, channel: str) -> None:
            self._feed.unwatch(app, channel)

        def poll(self) -> tuple[list[tuple[str, str]], bool]:
            if self.broken:
                raise RuntimeError("broken")
            return self._feed.poll()

    feed = Failing(engine.follow())
    hub = Hub(lambda: feed)
    with capture_logs() as logs:
        first = hub.subscribe("demo", "room")
        engine.publish("demo", "room", EVENT)
        assert first.news.wait(PATIENCE)
        wait_until(lambda: followers() == 0)
    assert [log["event"] for log in logs] == ["the follower stopped"]
    feed.broken = False
    second = hub.subscribe("demo", "room")
    engine.publish("demo", "room", EVENT)
    assert second.news.wait(PATIENCE)
    hub.close()


def test_an_engine_that_cannot_be_followed_refuses_the_subscription(engine: EmbeddedEngine, hub: Hub) -> None:
    engine.close()
    with pytest.raises(EngineUnavailable):
        hub.subscribe("demo", "room")
    assert hub.count() == 0
