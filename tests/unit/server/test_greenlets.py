"""Jobs in a pool of greenlets."""

from typing import Any

import gevent
import pytest
from gevent.event import Event
from tests.serving import wait_until

from polyglot_gateway.server import greenlets
from polyglot_gateway.server.greenlets import Greenlets


class Work:
    """Notes who works on what, for as long as `goes` is not set.

    Attributes:
        begun: The greenlet of each job.
        ended: How each job ended: None or the exception.
        goes: Lets all end.
    """

    def __init__(self) -> None:
        self.begun: dict[Any, gevent.Greenlet[..., Any]] = {}
        self.ended: dict[Any, BaseException | None] = {}
        self.goes = Event()

    def __call__(self, job: Any) -> None:
        self.begun[job] = gevent.getcurrent()
        self.ended[job] = None
        try:
            self.goes.wait()
            if job == "bad":
                raise ValueError(job)
        except BaseException as error:
            self.ended[job] = error
            raise


@pytest.fixture
def work() -> Work:
    return Work()


def eventually(condition: Any, what: str) -> None:
    def look() -> Any:
        gevent.sleep(0)
        return condition()

    wait_until(look, what)


def test_jobs_go_side_by_side_and_greenlets_are_used_again(work: Work) -> None:
    pool = Greenlets(work)
    pool.put(1)
    pool.put(2)
    eventually(lambda: len(work.begun) == 2, "both to begin")
    work.goes.set()
    eventually(lambda: pool._idle == 2, "both to end")
    work.goes.clear()
    pool.put(3)
    pool.put(4)
    eventually(lambda: len(work.begun) == 4, "the next two to begin")
    assert {work.begun[3], work.begun[4]} == {work.begun[1], work.begun[2]}
    pool.stop()


def test_more_jobs_than_greenlets_wait(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greenlets, "MAX_GREENLETS", 2)
    pool = Greenlets(work)
    for job in range(5):
        pool.put(job)
    eventually(lambda: len(work.begun) == 2, "two to begin")
    gevent.idle()
    assert list(work.begun) == [0, 1]
    work.goes.set()
    eventually(lambda: pool._idle == 2, "all to end")
    assert list(work.begun) == [0, 1, 2, 3, 4]
    assert len(set(work.begun.values())) == 2
    pool.stop()


def test_a_job_that_fails_takes_no_other_along(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greenlets, "MAX_GREENLETS", 1)
    monkeypatch.setattr(gevent.get_hub(), "print_exception", lambda *_: None)
    work.goes.set()
    pool = Greenlets(work)
    pool.put("bad")
    eventually(lambda: isinstance(work.ended.get("bad"), ValueError), "it to fail")
    eventually(lambda: work.begun["bad"].dead, "its greenlet to end")
    pool.put("good")
    eventually(lambda: "good" in work.begun, "the next one to begin")
    pool.stop()


def test_what_is_under_way_is_ended(work: Work) -> None:
    pool = Greenlets(work)
    pool.put(1)
    eventually(lambda: 1 in work.begun, "it to begin")
    pool.stop()
    eventually(lambda: isinstance(work.ended[1], gevent.GreenletExit), "it to end")
