import multiprocessing
import os
import signal
import threading

import numpy as np
import pytest

from polyglot_gateway.processor.shared_record import SharedRecord

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def record():
    return SharedRecord(np.dtype([("count", "i8"), ("many", "i8", 3)]))


def add(record, times):
    for _ in range(times):
        with record.locked() as inside:
            inside["count"] += 1


def test_it_begins_with_zeros(record):
    assert record.copy()["count"] == 0
    assert list(record.copy()["many"]) == [0, 0, 0]


def test_nothing_is_lost_between_processes_and_their_threads(record):
    def work():
        threads = [threading.Thread(target=add, args=(record, 1000)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    processes = [FORK.Process(target=work) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    assert record.copy()["count"] == 6000


def test_who_is_killed_with_the_lock_loses_it(record):
    def work():
        with record.locked() as inside:
            inside["count"] = 7
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=work)
    process.start()
    process.join(20)
    add(record, 1)
    assert record.copy()["count"] == 8


def test_a_copy_stays_as_it_is(record):
    before = record.copy()
    add(record, 1)
    assert before["count"] == 0
