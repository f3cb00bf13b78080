import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from polyglot_gateway.ops.logs import configure_logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger("polyglot_gateway.x").info("an event", channel="room:1")
    (line,) = lines(capsys)
    logged = json.loads(line)
    assert logged.pop("timestamp").endswith("Z")
    assert logged == {"event": "an event", "level": "info", "logger": "polyglot_gateway.x", "channel": "room:1"}


@pytest.mark.parametrize("name", ["gunicorn.error", "gevent", "any.library"])
def test_the_logs_of_others_take_the_same_form(capsys: pytest.CaptureFixture[str], name: str) -> None:
    logging.getLogger("gunicorn.error").propagate = False
    configure_logs("info", "json")
    logging.getLogger(name).warning("worker %s is late", 7)
    (line,) = lines(capsys)
    logged = json.loads(line)
    assert (logged["event"], logged["level"], logged["logger"]) == ("worker 7 is late", "warning", name)


def test_an_exception_is_told_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger().error("failed", exc_info=ValueError("the reason"))
    (line,) = lines(capsys)
    assert json.loads(line)["exception"][0]["exc_value"] == "the reason"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_values_of_variables(capsys: pytest.CaptureFixture[str], form: Any) -> None:
    def fail() -> None:
        key = "hunter" + "2"
        raise ValueError(len(key))

    configure_logs("info", form)
    try:
        fail()
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    said = "\n".join(lines(capsys))
    assert "ValueError" in said
    assert "hunter2" not in said


def test_below_the_level_nothing_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning", "json")
    structlog.get_logger().info("small talk")
    logging.getLogger("any.library").info("small talk")
    assert lines(capsys) == []


def test_the_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug", "console")
    structlog.get_logger().debug("an event", channel="room:1")
    (line,) = lines(capsys)
    assert "an event" in line
    assert "channel=room:1" in line


def test_the_last_call_holds_and_nothing_is_said_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug", "console")
    configure_logs("info", "json")
    structlog.get_logger().info("once")
    assert len(lines(capsys)) == 1
