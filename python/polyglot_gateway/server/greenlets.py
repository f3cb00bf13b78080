"""Greenlets that stay, because to make one costs more than most of what it would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent
from gevent.queue import SimpleQueue

MAX_GREENLETS = 1000
"""Jobs that are worked on at a time; more wait."""

_Job = TypeVar("_Job")


class Greenlets(Generic[_Job]):
    """Works on jobs, each in one of a pool of greenlets that grows when all of it waits."""

    def __init__(self, work: Callable[[_Job], None]) -> None:
        """`work` is called with each job. What it raises ends its greenlet, and no other."""
        self._work = work
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._greenlets: set[gevent.Greenlet[..., Any]] = set()
        self._idle = 0

    def put(self, job: _Job) -> None:
        """Have it worked on. Never waits, so the hub may call it."""
        self._jobs.put(job)
        if self._jobs.qsize() > self._idle and len(self._greenlets) < MAX_GREENLETS:
            greenlet = gevent.spawn(self._run)
            self._greenlets.add(greenlet)
            greenlet.rawlink(self._greenlets.discard)

    def stop(self) -> None:
        """End what is under way; GreenletExit is raised in it."""
        gevent.killall(list(self._greenlets), block=False)

    def _run(self) -> None:
        while True:
            self._idle += 1
            try:
                job = self._jobs.get()
            finally:
                self._idle -= 1
            self._work(job)
            del job  # what it holds may be large, and the next one may be long in coming
