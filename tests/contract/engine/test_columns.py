"""Columns: what history has of a channel, as arrays, the same from every engine."""

import itertools
import json
import math
import random
import threading
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyglot_gateway.engine.base import Engine
from polyglot_gateway.errors import InvalidApp, InvalidChannel, InvalidParameter

names = st.sampled_from(["", "a", "b", "a/b", "~", "0", "1", "ключ", 'q"', "\\"]) | st.text(max_size=3)
integers = st.integers() | st.integers(-(10**400), 10**400)
leaves = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
written = st.one_of(
    integers.map(str),
    st.tuples(integers, st.text("0123456789", min_size=1, max_size=30), st.integers(-400, 400)).map(
        lambda parts: "{}.{}e{}".format(*parts)
    ),
    leaves.map(json.dumps),
)


def text_of_object(members: list[tuple[str, str]]) -> str:
    """With the members in order, also those whose name comes twice."""
    return "{ " + " , ".join(f"{json.dumps(name)} :{value}" for name, value in members) + "}"


texts = st.recursive(
    written,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda values: f"[{', '.join(values)} ]")
        | st.lists(st.tuples(names, inner), max_size=4).map(text_of_object)
    ),
    max_leaves=12,
)
paths = st.lists(names, max_size=3)
channels = itertools.count()


def pointer(path: list[str]) -> str:
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def number_at(value: Any, path: list[str]) -> float:
    """What Python finds, NaN where that is no number that a double comes near."""
    for name in path:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and str(int(name)) == name:
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return math.nan if math.isinf(number) else number


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, min_size=1, max_size=10), st.lists(paths, max_size=8, unique_by=pointer))
def test_fields_are_what_python_finds(engine: Engine, data: list[str], wanted: list[list[str]]) -> None:
    channel = f"room:{next(channels)}"
    events = [f'{{"channel":"{channel}","type":"t","data":{text}}}' for text in data]
    engine.publish_batch("demo", ("{" + f'"events":[{",".join(events)}]' + "}").encode())
    columns = engine.columns("demo", channel, [pointer(path) for path in wanted])
    values = [json.loads(text) for text in data]
    assert list(columns.fields) == [pointer(path) for path in wanted]
    for path, found in zip(wanted, columns.fields.values(), strict=True):
        np.testing.assert_array_equal(found, [number_at(value, path) for value in values])


def test_columns_are_what_history_has(engine_factory, engine, other, say):
    random_ = random.Random(1)
    count = engine_factory.history_size + 20
    say.publish(engine, "room", *({"n": number, "text": "x" * random_.randrange(2000)} for number in range(count)))
    reply = say.history(engine, "room")
    sizes = [len(envelope) for _, envelope in engine.read("demo", "room", count - 10).events]
    for reader in (engine, other):
        columns = reader.columns("demo", "room", ["/n", "/missing"])
        assert (columns.app, columns.channel, columns.epoch) == ("demo", "room", reply["epoch"])
        assert columns.offsets.tolist() == [event["offset"] for event in reply["events"]]
        assert columns.fields["/n"].tolist() == [event["data"]["n"] for event in reply["events"]]
        assert np.isnan(columns.fields["/missing"]).all()
        stamps = [datetime.fromisoformat(event["meta"]["ts"]) for event in reply["events"]]
        assert columns.times.tolist() == [round(stamp.timestamp() * 1e6) for stamp in stamps]
        assert columns.sizes[-10:].tolist() == sizes
        assert columns.begin == columns.times[0], "those before it are gone"
        assert columns.read_at >= columns.times[-1]
        kinds = {array.dtype.str[1:] for array in (columns.offsets, columns.times, columns.sizes)}
        assert kinds == {"i8"}
        assert columns.fields["/n"].dtype == np.float64


def test_a_channel_that_never_was_has_empty_columns(engine):
    columns = engine.columns("demo", "never", ["/n"])
    assert [len(array) for array in (columns.offsets, columns.times, columns.sizes, columns.fields["/n"])] == [0] * 4
    assert (columns.begin, columns.epoch) == (0, engine.channel("demo", "never").epoch)


def test_while_nothing_is_lost_columns_say_so(engine, say):
    say.publish(engine, "room", 1, 2)
    assert engine.columns("demo", "room").begin == 0
    windowed = engine.columns("demo", "room", [""], 60)
    assert windowed.fields[""].tolist() == [1, 2]
    assert 59.9e6 <= windowed.read_at - windowed.begin <= 60e6


def test_a_forgotten_past_is_not_in_columns(engine, say):
    say.publish(engine, "room", 1, 2)
    epoch = engine.forget("demo", "room")
    assert engine.columns("demo", "room", [""]).fields[""].tolist() == []
    say.publish(engine, "room", 3)
    columns = engine.columns("demo", "room", [""])
    assert (columns.fields[""].tolist(), columns.offsets.tolist(), columns.epoch) == ([3], [1], epoch)


def test_what_is_older_than_the_rule_allows_is_not_in_columns(engine_factory, say):
    engine = engine_factory(history_ttl=1e-6)
    say.publish(engine, "room", 1)
    columns = engine.columns("demo", "room")
    assert columns.offsets.tolist() == []
    assert 0 < columns.begin <= columns.read_at


def test_columns_are_whole_while_others_write(engine_factory, engine, say):
    writing = engine_factory()
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            writing.publish_batch("demo", say.batch(*(("room", number + i) for i in range(1, 31))))
            number += 30

    writer = threading.Thread(target=write)
    writer.start()
    try:
        newest = 0
        while newest < 10 * engine_factory.history_size:
            columns = engine.columns("demo", "room", [""])
            assert len(columns.offsets) <= engine_factory.history_size
            if len(columns.offsets):
                assert columns.fields[""].tolist() == columns.offsets.tolist()
                assert (np.diff(columns.offsets) == 1).all()
                assert columns.offsets[-1] >= newest
                newest = int(columns.offsets[-1])
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (InvalidApp, {"app": "a b"}),
        (InvalidChannel, {"channel": "a b"}),
        (InvalidChannel, {"channel": ""}),
        (InvalidParameter, {"fields": ["a"]}),
        (InvalidParameter, {"fields": ["/a", "/a"]}),
        (InvalidParameter, {"window": -1}),
        (InvalidParameter, {"window": math.nan}),
    ],
)
def test_what_means_nothing_is_refused(engine, error, wrong):
    with pytest.raises(error):
        engine.columns(**{"app": "demo", "channel": "room", **wrong})
