"""Random use of two openers, compared with a model of the contract in plain Python."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from polyglot_gateway.errors import IdempotencyMismatch, Overloaded, RequestError

CHANNELS = ["a", "b", "c:1", "room/with/slashes"]
BAD_CHANNELS = ["no spaces", "*", "", "x" * 201]
OTHER_EPOCH = "0123456789abcdef"

openers = st.sampled_from([0, 1])
channels = st.sampled_from(CHANNELS)
data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
types = st.text(min_size=1, max_size=10)
events = st.tuples(types, data)
keys = st.sampled_from(["", "", "k1", "k2", "k3"])
limits = st.integers(1, 70) | st.just(1000)
offsets = st.integers(0, 130)
refused = st.sampled_from([b"", b"{", b"[]", b'{"type":"t"}', b'{"type":"t","data":1}x', b'{"type":"t","data":"\xff"}'])


@dataclass
class Channel:
    """What the contract says about one channel."""

    size: int
    epochs: set[str] = field(default_factory=set)
    epoch: str | None = None  # None: not known, because the channel has no events
    events: list[dict[str, Any]] = field(default_factory=list)  # all of this epoch

    @property
    def last(self) -> int:
        return len(self.events)

    @property
    def first(self) -> int:
        return max(1, self.last - self.size + 1)

    def expect(
        self, since: int | None, until: int | None, limit: int, reverse: bool, gap: str | None
    ) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """The events and the gap of a history reply. `gap`: the reason when the position means nothing."""
        begin, end, missing = self.first, self.last, None
        if gap:
            missing = {"from": 0, "to": 0, "reason": gap}
        elif since is not None:
            begin = max(since + 1, self.first)
            if since + 1 < self.first:
                missing = {"from": since + 1, "to": self.first - 1, "reason": "overwritten"}
        if until is not None:
            end = min(end, until)
        found = self.events[begin - 1 : max(end, begin - 1)]
        oldest_first = since is not None and not reverse
        found = found[:limit] if oldest_first else found[-limit:]
        return (found[::-1] if reverse else found), missing


class Machine(RuleBasedStateMachine):
    """Each step does the same to an engine and to the model."""

    positions = Bundle("positions")  # (channel, epoch, offset) as readers got them
    batches = Bundle("batches")  # (body, ndjson, answers)

    def __init__(self, factory):
        super().__init__()
        self.factory = factory
        self.engines = [factory(), factory()]
        self.follow()
        self.channels = {name: Channel(factory.history_size) for name in CHANNELS}
        self.keys: dict[tuple[str, str], tuple[bytes, Any]] = {}
        self.news: set[str] = set()
        self.batch_keys = 0

    def follow(self):
        self.feed = self.engines[0].follow()
        for name in CHANNELS:
            self.feed.watch("demo", name)

    def teardown(self):
        self.factory.close()

    # What changes

    def kept(self, name: str, event: tuple[str, Any], ack: dict[str, Any], meta: tuple[str, str] = ("", "")) -> None:
        """The engine acknowledged a new event."""
        channel = self.channels[name]
        if channel.epoch is None:
            assert ack["epoch"] not in channel.epochs, "an epoch came back"
            channel.epoch = ack["epoch"]
            channel.epochs.add(ack["epoch"])
        assert (ack["epoch"], ack["offset"]) == (channel.epoch, channel.last + 1)
        channel.events.append({
            "id": ack["id"], "app_id": "demo", "channel": name, "type": event[0], "data": event[1],
            "meta": {"user_id": meta[0] or None, "ts": ack["timestamp"], "source_ip": meta[1] or None},
            "offset": ack["offset"],
        })  # fmt: skip
        self.news.add(name)

    @rule(target=positions, opener=openers, name=channels, event=events, key=keys, user=st.sampled_from(["", "ä\n"]))
    def publish(self, opener, name, event, key, user):
        body = json.dumps({"type": event[0], "data": event[1]}).encode()
        known = self.keys.get((name, key)) if key else None
        try:
            ack = self.engines[opener].publish("demo", name, body, key, "::1", user)
        except IdempotencyMismatch:
            assert known
            assert known[0] != body
            return multiple()
        except Overloaded:
            assert key
            assert not known
            return multiple()
        if known:
            assert (ack, body) == (known[1]._replace(replayed=True), known[0])
            return multiple()
        assert not ack.replayed
        assert json.loads(ack.body) == {m: getattr(ack, m) for m in ("id", "timestamp", "offset", "epoch")}
        self.kept(name, event, json.loads(ack.body), (user, "::1"))
        if key:
            self.keys[name, key] = body, ack
        return name, ack.epoch, ack.offset

    @rule(opener=openers, name=channels, amount=st.integers(2, 60))
    def publish_many(self, opener, name, amount):
        events = [("many", n) for n in range(amount)]
        sent = [{"channel": name, "type": type_, "data": value} for type_, value in events]
        answer = self.engines[opener].publish_batch("demo", json.dumps({"events": sent}).encode())
        for event, result in zip(events, json.loads(answer)["results"], strict=True):
            self.kept(name, event, result)

    @rule(
        target=batches,
        opener=openers,
        sent=st.lists(st.tuples(st.sampled_from(CHANNELS + BAD_CHANNELS), events), min_size=1, max_size=8),
        ndjson=st.booleans(),
        keyed=st.booleans(),
    )
    def publish_batch(self, opener, sent, ndjson, keyed):
        lines = [json.dumps({"channel": name, "type": type_, "data": value}) for name, (type_, value) in sent]
        body = ("\n".join(lines) if ndjson else '{"events":[' + ",".join(lines) + "]}").encode()
        self.batch_keys += 1
        key = f"batch-{self.batch_keys}" if keyed else ""
        results = json.loads(self.engines[opener].publish_batch("demo", body, ndjson, key))["results"]
        self.take(sent, results)
        return (body, ndjson, key, results) if keyed else multiple()

    def take(self, sent, results):
        assert [result["channel"] for result in results] == [name for name, _ in sent]
        for (name, event), result in zip(sent, results, strict=True):
            if name in BAD_CHANNELS:
                assert (result["code"], result["status"]) == ("invalid_channel", 400)
            elif result.get("code") != "overloaded":
                self.kept(name, event, result)

    @rule(opener=openers, batch=batches)
    def publish_batch_again(self, opener, batch):
        body, ndjson, key, first = batch
        results = json.loads(self.engines[opener].publish_batch("demo", body, ndjson, key))["results"]
        for before, now in zip(first, results, strict=True):
            assert {**before, **now} == now, "nothing but a remark may have been added"

    @rule(
        opener=openers, names=st.lists(st.sampled_from(CHANNELS + BAD_CHANNELS), min_size=1, unique=True), event=events
    )
    def broadcast(self, opener, names, event):
        body = json.dumps({"channels": names, "type": event[0], "data": event[1]}).encode()
        self.take(
            [(name, event) for name in names], json.loads(self.engines[opener].broadcast("demo", body))["results"]
        )

    @rule(opener=openers, name=channels, body=refused)
    def publish_what_is_refused(self, opener, name, body):
        with pytest.raises(RequestError):
            self.engines[opener].publish("demo", name, body, "unused")

    @rule(target=positions, opener=openers, name=channels)
    def forget(self, opener, name):
        epoch = self.engines[opener].forget("demo", name)
        channel = self.channels[name]
        if channel.epoch is not None:
            assert epoch not in channel.epochs
            channel.events = []
            channel.epoch = epoch
            channel.epochs.add(epoch)
            self.news.add(name)
        return name, epoch, 0

    @rule(opener=openers)
    def close_and_open_again(self, opener):
        self.engines[opener].close()
        self.engines[opener] = self.factory()
        if opener == 0:
            self.follow()
            self.news.clear()

    # What reads

    def gap_reason(self, name: str, since: int | None, epoch: str) -> str | None:
        channel = self.channels[name]
        if since is None:
            return None
        if epoch and epoch != channel.epoch:
            return "epoch_changed"
        return "beyond_end" if since > channel.last else None

    @rule(
        opener=openers, name=channels, limit=limits, since=st.none() | offsets, until=st.none() | offsets,
        reverse=st.booleans(), epoch=st.sampled_from(["", "present", OTHER_EPOCH]),
    )  # fmt: skip
    def history(self, opener, name, limit, since, until, reverse, epoch):
        channel = self.channels[name]
        if epoch == "present":
            epoch = channel.epoch or ""
        reply = json.loads(self.engines[opener].history("demo", name, limit, since, until, reverse, epoch))
        expected, gap = channel.expect(since, until, limit, reverse, self.gap_reason(name, since, epoch))
        assert reply["events"] == expected
        assert (reply["gap"], reply["recovered"]) == (gap, gap is None)
        assert (reply["count"], reply["offset"]) == (len(expected), channel.last)
        assert reply["epoch"] == (channel.epoch or reply["epoch"])

    @rule(target=positions, opener=openers, position=positions, limit=limits)
    def read_on(self, opener, position, limit):
        name, epoch, since = position
        page = self.engines[opener].read("demo", name, since, epoch, limit)
        channel = self.channels[name]
        reason = self.gap_reason(name, since, epoch)
        gap = page.gap and {"from": page.gap.from_offset, "to": page.gap.to_offset, "reason": page.gap.reason}
        # Who stood in a channel before it was one has missed nothing if the engine knows that, else a past is gone.
        if epoch not in channel.epochs and since == 0 and (gap is None or gap["reason"] == "overwritten"):
            reason = None
        expected, missing = channel.expect(since, None, limit, False, reason)
        assert [json.loads(envelope) for _, envelope in page.events] == expected
        assert gap == missing
        assert [offset for offset, _ in page.events] == [event["offset"] for event in expected]
        assert page.offset == (expected[-1]["offset"] if expected else channel.last)
        assert page.epoch == (channel.epoch or page.epoch)
        return name, page.epoch, page.offset

    @rule(target=positions, opener=openers, name=channels)
    def stand(self, opener, name):
        page = self.engines[opener].read("demo", name)
        channel = self.channels[name]
        assert (page.offset, page.events, page.gap) == (channel.last, [], None)
        assert page.epoch == (channel.epoch or page.epoch)
        return name, page.epoch, page.offset

    @rule()
    def poll(self):
        found, missed = set(), False
        while (polled := self.feed.poll()) != ([], False):
            found |= set(polled[0])
            missed |= polled[1]
        assert not missed
        assert found == {("demo", name) for name in self.news}
        self.news.clear()

    @invariant()
    def the_openers_agree(self):
        first, second = (engine.channels("demo") for engine in self.engines)
        assert first == second
        known = {name: channel for name, channel in self.channels.items() if channel.epoch is not None}
        assert [info.channel for info in first] == sorted(known)
        for info in first:
            channel = known[info.channel]
            newest = channel.events[-1]["meta"]["ts"] if channel.events else None
            expected = ("demo", info.channel, channel.epoch, channel.first, channel.last, newest)
            assert info == expected


def test_random_use_agrees_with_the_contract(engine_factory):
    bounds = settings(
        max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(lambda: Machine(engine_factory.apart()), settings=bounds)
