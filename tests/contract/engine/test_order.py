"""Order: each channel has one total order, the same for every reader, with offsets from 1 and without holes."""

import itertools
import json
import threading

PUBLISH_MANY = """
import sys
for n in range(int(sys.argv[2])):
    ack = engine.publish("demo", "room", b'{"type":"message","data":"%s-%d"}' % (sys.argv[1].encode(), n))
    print(ack.offset, flush=True)
"""


def test_offsets_begin_at_one_and_count_up(engine, say):
    assert [ack.offset for ack in say.publish(engine, "room", *"abc")] == [1, 2, 3]
    assert say.kept(engine, "room") == ["a", "b", "c"]


def test_each_channel_counts_for_itself(engine, say):
    say.publish(engine, "one", "a", "b")
    assert say.publish(engine, "two", "c")[0].offset == 1
    assert engine.publish("elsewhere", "one", say.body("d")).offset == 1
    assert say.publish(engine, "one", "e")[0].offset == 3


def test_apps_do_not_see_each_other(engine, say):
    say.publish(engine, "room", "ours")
    engine.publish("elsewhere", "room", say.body("theirs"))
    assert say.kept(engine, "room") == ["ours"]
    assert [info.channel for info in engine.channels("elsewhere")] == ["room"]


def test_names_that_read_the_same_together_are_apart(engine, say):
    engine.publish("a", "bc", say.body(1))
    assert engine.publish("ab", "c", say.body(2)).offset == 1
    assert engine.channel("a", "bc").epoch != engine.channel("ab", "c").epoch


def test_all_openers_continue_one_order(engine, other, say):
    for n, opener in enumerate(itertools.islice(itertools.cycle([engine, other]), 20)):
        assert say.publish(opener, "room", n)[0].offset == n + 1
    assert say.kept(engine, "room") == say.kept(other, "room") == list(range(20))


def test_a_batch_keeps_its_order_within_each_channel(engine, say):
    events = [("one", 1), ("two", 2), ("one", 3), ("one", 4), ("two", 5)]
    results = json.loads(engine.publish_batch("demo", say.batch(*events)))["results"]
    assert [(result["channel"], result["offset"]) for result in results] == [
        ("one", 1), ("two", 1), ("one", 2), ("one", 3), ("two", 2),
    ]  # fmt: skip
    assert (say.kept(engine, "one"), say.kept(engine, "two")) == ([1, 3, 4], [2, 5])


def test_threads_share_one_order(engine, other, engine_factory, say):
    each = engine_factory.history_size // 4
    offsets: list[list[int]] = [[] for _ in range(4)]

    def publish(who: int) -> None:
        for n in range(each):
            offsets[who] += [ack.offset for ack in say.publish((engine, other)[who % 2], "room", [who, n])]

    threads = [threading.Thread(target=publish, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = say.history(engine, "room")["events"]
    assert [event["offset"] for event in events] == list(range(1, 4 * each + 1))
    for who in range(4):
        mine = [(event["offset"], event["data"][1]) for event in events if event["data"][0] == who]
        assert mine == list(zip(offsets[who], range(each), strict=True))


def test_processes_share_one_order(engine, other, engine_factory, spawn, say):
    each = engine_factory.history_size // 3
    writers = [spawn(PUBLISH_MANY, str(who), str(each)) for who in range(3)]
    given = [[int(line) for line in writer.communicate()[0].split()] for writer in writers]
    events = say.history(engine, "room")["events"]
    assert [event["offset"] for event in events] == list(range(1, 3 * each + 1))
    assert events == say.history(other, "room")["events"]
    for who, offsets in enumerate(given):
        mine = [(event["offset"], event["data"]) for event in events if event["data"].startswith(f"{who}-")]
        assert mine == [(offset, f"{who}-{n}") for n, offset in enumerate(offsets)]


def test_channels_are_listed_by_name_in_pages(engine, other, say):
    names = ["b", "a:1", "Z", "a", "~last"]
    for name in names:
        say.publish(engine, name, 0)
    assert [info.channel for info in other.channels("demo")] == sorted(names)
    assert [info.channel for info in other.channels("demo", limit=2)] == sorted(names)[:2]
    assert [info.channel for info in other.channels("demo", after=sorted(names)[1], limit=2)] == sorted(names)[2:4]
    assert other.channels("demo", after="~last") == other.channels("nobody") == []
