import io
import logging
import os
import pty
import socket
from pathlib import Path

import pytest

from polyglot_gateway.ops.log_handler import MOST_A_SECOND, LogHandler


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def record(message: str, level: int = logging.WARNING, *args: object) -> logging.LogRecord:
    return logging.LogRecord("test", level, "", 0, message, args, None)


def structured(**event: object) -> logging.LogRecord:
    return logging.LogRecord("test", logging.WARNING, "", 0, dict(event), (), None)


def handler(stream: io.TextIOBase | None, clock: Clock | None = None) -> LogHandler:
    made = LogHandler(stream, clock=clock or Clock())
    made.setFormatter(Formatter())
    return made


class Formatter(logging.Formatter):
    """The message, and what was added to it."""

    def format(self, record: logging.LogRecord) -> str:
        added = {name: vars(record)[name] for name in ("held_back", "lost") if name in vars(record)}
        return f"{record.msg if isinstance(record.msg, dict) else record.getMessage()} {added}"


def test_lines_go_to_the_file_as_they_come(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        log = handler(stream)
        log.handle(record("one", logging.INFO))
        log.handle(record("two %s", logging.ERROR, "\udcff"))
        assert (tmp_path / "log").read_bytes() == b"one {}\ntwo \\udcff {}\n"


def test_a_flood_of_one_kind_is_held_back_and_told() -> None:
    clock, stream = Clock(), io.StringIO()
    log = handler(stream, clock)
    for number in range(MOST_A_SECOND + 5):
        log.handle(structured(event="refused", code="overloaded", number=number))
    log.handle(structured(event="refused", code="internal_error"))
    log.handle(record("another"))
    assert len(stream.getvalue().splitlines()) == MOST_A_SECOND + 2
    clock.now += 1.0
    log.handle(structured(event="refused", code="overloaded", number=99))
    assert stream.getvalue().splitlines()[-1] == (
        "{'event': 'refused', 'code': 'overloaded', 'number': 99, 'held_back': 5} {}"
    )


def test_what_was_held_back_is_told_though_nothing_more_comes() -> None:
    clock, stream = Clock(), io.StringIO()
    log = handler(stream, clock)
    for number in range(MOST_A_SECOND + 5):
        log.handle(record("late %s", logging.WARNING, number))
    log.tell_held_back()
    assert len(stream.getvalue().splitlines()) == MOST_A_SECOND
    clock.now += 1.0
    log.tell_held_back()
    log.tell_held_back()
    assert stream.getvalue().splitlines()[MOST_A_SECOND:] == [f"late {MOST_A_SECOND + 4} {{'held_back': 4}}"]


def test_what_another_held_back_is_added_to() -> None:
    clock, stream = Clock(), io.StringIO()
    log = handler(stream, clock)
    for _ in range(MOST_A_SECOND + 1):
        log.handle(structured(event="refused"))
    clock.now += 1.0
    log.handle(structured(event="refused", held_back=7))
    assert "'held_back': 8" in stream.getvalue().splitlines()[-1]


def test_information_is_never_held_back() -> None:
    stream = io.StringIO()
    log = handler(stream)
    for _ in range(5 * MOST_A_SECOND):
        log.handle(record("small talk", logging.INFO))
    assert len(stream.getvalue().splitlines()) == 5 * MOST_A_SECOND


def test_kinds_without_end_do_not_take_memory_without_end() -> None:
    log = handler(io.StringIO())
    for number in range(3000):
        log.handle(record(f"kind {number}"))
    assert len(log._held) <= 1000


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    with open("/dev/full", "w") as full:
        log = handler(full)
        for _ in range(3):
            log.handle(record("lost", logging.INFO))
        assert log._lost == 3


def test_a_closed_standard_error_takes_everything() -> None:
    handler(None).handle(record("to nobody"))


def test_a_reader_that_does_not_read_stops_nobody() -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as stream:
        log = handler(stream)
        for _ in range(2000):
            log.handle(record("x" * 200, logging.INFO))
        assert os.get_blocking(writing), "whoever shares the pipe still waits for it"
        os.set_blocking(reading, False)
        while len(os.read(reading, 65536)) == 65536:
            pass
        log.handle(record("again", logging.INFO))
        told = os.read(reading, 65536).decode().splitlines()
        assert told[-1] == "again {}"
        assert "log lines could not be written {'lost': " in told[-2]
        log.close()
    os.close(reading)


def test_a_reader_that_is_gone_stops_nobody() -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as stream:
        log = handler(stream)
        os.close(reading)
        log.handle(record("to nobody", logging.INFO))
        log.close()


def test_a_socket_is_written_to_without_waiting() -> None:
    ours, theirs = socket.socketpair()
    stream = ours.makefile("w")
    log = handler(stream)  # type: ignore[arg-type]
    log.handle(record("one", logging.INFO))
    assert theirs.recv(100) == b"one {}\n"
    for _ in range(5000):
        log.handle(record("x" * 200, logging.INFO))
    assert log._lost > 0
    for one in (log, stream, ours, theirs):
        one.close()


def test_a_terminal_is_written_to() -> None:
    reading, writing = pty.openpty()
    with open(writing, "w") as stream:
        handler(stream).handle(record("one", logging.INFO))
        assert os.read(reading, 100) == b"one {}\r\n"
    os.close(reading)


def test_a_line_that_cannot_be_made_is_lost_alone(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        log = handler(stream)
        log.handle(record("%d", logging.INFO, "no number"))
        log.handle(record("next", logging.INFO))
        assert (tmp_path / "log").read_text() == "log lines could not be written {'lost': 1}\nnext {}\n"


@pytest.mark.parametrize("stream", [io.StringIO()])
def test_what_has_no_descriptor_is_written_to_as_well(stream: io.StringIO) -> None:
    handler(stream).handle(record("one", logging.INFO))
    assert stream.getvalue() == "one {}\n"
