"""Failure: every error is a GatewayError with a code, and a closed engine says that it is closed."""

import pytest

from polyglot_gateway import errors
from polyglot_gateway.errors import EngineUnavailable, GatewayError, TemporaryError

CALLS = {
    "publish": lambda engine: engine.publish("demo", "room", b'{"type":"message","data":1}'),
    "publish_batch": lambda engine: engine.publish_batch("demo", b'{"channel":"room","type":"a","data":1}', True),
    "broadcast": lambda engine: engine.broadcast("demo", b'{"channels":["room"],"type":"a","data":1}'),
    "history": lambda engine: engine.history("demo", "room"),
    "read": lambda engine: engine.read("demo", "room", 0),
    "forget": lambda engine: engine.forget("demo", "room"),
    "channel": lambda engine: engine.channel("demo", "room"),
    "channels": lambda engine: engine.channels("demo"),
    "follow": lambda engine: engine.follow(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_closed_engine_is_unavailable(engine, other, say, call):
    say.publish(engine, "room", "kept")
    engine.close()
    with pytest.raises(EngineUnavailable) as raised:
        call(engine)
    assert isinstance(raised.value, TemporaryError)
    assert raised.value.code == "engine_unavailable"
    assert raised.value.message
    assert say.kept(other, "room") == ["kept"], "nothing was kept, and nothing was lost"


def test_an_open_engine_is_ready_and_a_closed_one_says_why_not(engine):
    assert engine.ready() == []
    engine.close()
    reasons = engine.ready()
    assert reasons
    assert all(isinstance(reason, str) and reason for reason in reasons)


def test_closing_twice_is_closing_once(engine):
    engine.close()
    engine.close()


def test_closing_one_engine_leaves_the_others_open(engine, other, say):
    say.publish(engine, "room", "a")
    engine.close()
    assert say.publish(other, "room", "b")[0].offset == 2
    assert other.ready() == []


def test_errors_say_what_and_where(engine):
    with pytest.raises(errors.InvalidJson) as raised:
        engine.publish("demo", "room", b'{"type":"message","data":oops}')
    assert raised.value.position == 25
    assert isinstance(raised.value, GatewayError)
    assert str(raised.value) == raised.value.message
