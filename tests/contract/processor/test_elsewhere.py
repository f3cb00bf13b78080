"""What one in another process promises besides: time, what is not sent twice, and that nobody waits for another."""

import concurrent.futures
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.contract.processor.elsewhere import NAME, open_elsewhere
from tests.processor_service import ProcessorService
from tests.serving import wait_until

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import ACCEPT

pytestmark = pytest.mark.parametrize("kind", ["http", "grpc"])


def noted(service: ProcessorService) -> list[str]:
    """The ids of the events that the function was called with."""
    file = service.folder / "noted.txt"
    return file.read_text().splitlines() if file.exists() else []


def test_a_function_that_is_too_slow_is_not_waited_for(kind, service, event):
    with contextlib.closing(open_elsewhere(kind, service, timeout=0.5)) as processor:
        processor.process([event()])
        begin = time.monotonic()
        with pytest.raises(
            ProcessorUnavailable, match=rf"^The processor at {kind}://\S+ did not answer within \d+ ms\."
        ):
            processor.process([event("wait", b"2")])
        assert time.monotonic() - begin < 1
        assert processor.breaker()["endpoints"][0]["failures"] == 1


def test_threads_do_not_wait_for_each_other(kind, service, event):
    with (
        contextlib.closing(open_elsewhere(kind, service, timeout=20)) as processor,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        begin = time.monotonic()
        answers = pool.map(processor.process, [[event("wait", b"0.5")] for _ in range(8)])
        assert list(answers) == [[ACCEPT]] * 8
        assert time.monotonic() - begin < 8 * 0.5


def test_all_that_an_ordinary_deployment_has_under_way_at_once_is_answered(kind, service, event):
    """Three gateways with two workers each, whose connections are all to one worker of one processor."""
    with contextlib.ExitStack() as stack:
        processors = [
            stack.enter_context(contextlib.closing(open_elsewhere(kind, service, timeout=20))) for _ in range(6)
        ]
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(120))
        asked = [pool.submit(processor.process, [event("wait", b"0.2")]) for processor in 20 * processors]
        assert [answer.result() for answer in asked] == [[ACCEPT]] * 120


def test_one_that_is_killed_in_a_batch_has_got_it_once_and_is_found_again(kind, own_service, event):
    sent = event("note", b"60")
    with (
        contextlib.closing(open_elsewhere(kind, own_service, timeout=20)) as processor,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        asked = pool.submit(processor.process, [sent])
        wait_until(lambda: noted(own_service), "the function to be called")
        own_service.kill_everything()
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable, match=rf"^The processor at {kind}://\S+ broke off"):
            asked.result()
        assert time.monotonic() - begin < 5
        assert noted(own_service) == [sent.id]
        assert processor.breaker()["endpoints"][0]["failures"] == 1

        again = ProcessorService(
            own_service.folder, NAME, http_port=own_service.http_port, grpc_port=own_service.grpc_port
        )
        try:
            again.wait_until_ready()

            def answers():
                with contextlib.suppress(ProcessorUnavailable):
                    return processor.process([event()])

            wait_until(answers, "an answer")
        finally:
            again.kill_everything()


def test_one_that_drains_answers_what_it_has_begun(kind, own_service, event):
    with (
        contextlib.closing(open_elsewhere(kind, own_service, timeout=20)) as processor,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        processor.process([event()])
        asked = [pool.submit(processor.process, [event("note", b"1")]) for _ in range(4)]
        wait_until(lambda: len(noted(own_service)) == 4, "the batches to arrive")
        assert own_service.stop() == 0
        assert [answer.result() for answer in asked] == [[ACCEPT]] * 4
        with pytest.raises(ProcessorUnavailable, match="cannot be reached: Connection refused"):
            processor.process([event()])


def test_in_a_process_that_gevent_has_patched_only_the_greenlet_that_asks_waits(kind, service):
    program = Path(__file__).with_name("greenlets.py")
    url = service.url if kind == "http" else "http://127.0.0.1:1"
    command = [sys.executable, program, kind, url, str(service.grpc_port)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
