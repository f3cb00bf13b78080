"""Several endpoints: who is asked, what goes to another, what is counted."""

import concurrent.futures
import contextlib
import threading
import time

import pytest
from tests.peers import accept_all, event, hang, http_answer, http_peer, unreachable_port
from tests.serving import free_port, wait_until

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import MOST_EVENTS, Verdict
from polyglot_gateway.processor.breaker import Breaker
from polyglot_gateway.processor.endpoint import Busy, Unreached
from polyglot_gateway.processor.open import open_processor
from polyglot_gateway.processor.remote import Instance, RemoteProcessor, Way


@contextlib.contextmanager
def over_http(*peers, **options):
    """The processor at these peers and ports, by HTTP."""
    with contextlib.ExitStack() as stack:
        urls = [
            f"http://127.0.0.1:{peer}" if isinstance(peer, int) else stack.enter_context(contextlib.closing(peer)).url
            for peer in peers
        ]
        yield stack.enter_context(contextlib.closing(open_processor("http", urls, **options)))


def keep_saying(answer):
    return lambda peer, connection, body: connection.sendall(answer)


FAIL = keep_saying(http_answer(b"", "500 No"))


def failures(processor):
    return [endpoint["failures"] for endpoint in processor.breaker()["endpoints"]]


def test_more_than_one_batch_is_sent_as_several_in_order():
    with over_http(peer := http_peer(accept_all)) as processor:
        assert processor.process([event(number) for number in range(MOST_EVENTS + 1)]) == [Verdict("accept")] * 1001
        assert len(peer.got) == 2
        assert b'"evt_1000"' in peer.got[1]
        assert processor.process([]) == []
        assert len(peer.got) == 2


def test_the_time_limit_is_one_for_all_batches():
    def slowly(peer, connection, body):
        time.sleep(0.4)
        accept_all(peer, connection, body)

    with over_http(http_peer(slowly), timeout=0.6) as processor:
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable, match="did not answer within"):
            processor.process([event(number) for number in range(3 * MOST_EVENTS)])
        assert time.monotonic() - begin < 1.1


def test_a_batch_goes_to_the_instance_with_the_fewest_to_answer():
    leave = threading.Event()

    def slow(peer, connection, body):
        leave.wait(20)
        accept_all(peer, connection, body)

    with (
        over_http(busy := http_peer(slow), idle := http_peer(accept_all), timeout=20) as processor,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        waiting = []
        while not busy.got:
            waiting.append(pool.submit(processor.process, [event()]))
            wait_until(lambda: len(busy.got) + len(idle.got) == len(waiting), "the batch to arrive")
        before = len(idle.got)
        for _ in range(20):
            processor.process([event()])
        assert (len(busy.got), len(idle.got)) == (1, before + 20)
        leave.set()
        assert all(answer.result() for answer in waiting)


def test_among_equals_all_are_asked():
    with over_http(one := http_peer(accept_all), other := http_peer(accept_all)) as processor:
        for _ in range(64):
            processor.process([event()])
        assert one.got
        assert other.got


@pytest.mark.parametrize("gone", ["closed", "unreachable"])
def test_a_batch_that_did_not_reach_one_goes_to_another(gone):
    with contextlib.ExitStack() as stack:
        port = free_port() if gone == "closed" else stack.enter_context(unreachable_port())
        peer = http_peer(accept_all)
        processor = stack.enter_context(over_http(port, peer, timeout=0.8, breaker_failures=2))
        for _ in range(20):
            assert processor.process([event()]) == [Verdict("accept")]
        assert len(peer.got) == 20
        wrong, right = processor.breaker()["endpoints"]
        assert (wrong["state"], right["state"], right["failures"]) == ("open", "closed", 0)
        assert "cannot be reached" in wrong["last_error"]
        assert processor.breaker()["state"] == "closed"
        assert processor.ready() == []


def test_a_batch_that_may_have_been_processed_goes_nowhere_else():
    with over_http(one := http_peer(FAIL), other := http_peer(FAIL)) as processor:
        with pytest.raises(
            ProcessorUnavailable, match=r"^The processor at http://127.0.0.1:\d+ answered with HTTP 500\.$"
        ):
            processor.process([event()])
        assert len(one.got) + len(other.got) == 1
        assert sorted(failures(processor)) == [0, 1]


def test_when_none_is_reached_all_reasons_are_said():
    ports = free_port(), free_port()
    with over_http(*ports) as processor:
        with pytest.raises(ProcessorUnavailable) as caught:
            processor.process([event()])
        assert all(
            f"http://127.0.0.1:{port} cannot be reached: Connection refused." in caught.value.message for port in ports
        )


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (FAIL, "answered with HTTP 500"),
        (hang, "did not answer"),
        (keep_saying(http_answer(b"{}")), "something else than verdicts"),
    ],
)
def test_while_its_breaker_is_open_an_endpoint_is_not_asked_and_that_is_told(behave, said):
    with over_http(peer := http_peer(behave), timeout=0.1) as processor:
        assert processor.breaker()["state"] == "closed"
        for _ in range(5):
            assert processor.ready() == []
            with pytest.raises(ProcessorUnavailable, match=said):
                processor.process([event()])
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable, match=rf"is not asked for .* s more, after 5 failures .*{said}"):
            processor.process([event()])
        assert time.monotonic() - begin < 0.1
        assert len(peer.got) == 5
        (reason,) = processor.ready()
        assert reason.startswith(f"The processor at {peer.url} is not asked for ")
        report = processor.breaker()
        assert (report["enabled"], report["processor"], report["state"]) == (True, "http", "open")
        (endpoint,) = report["endpoints"]
        assert (endpoint["endpoint"], endpoint["protocol"], endpoint["state"]) == (peer.url, "http", "open")
        assert 29 < endpoint["next_try_in"] <= 30
        assert said in endpoint["last_error"]


def test_once_the_time_has_come_one_batch_tries_it_and_it_is_ready_again():
    good = threading.Event()

    def behave(peer, connection, body):
        (accept_all if good.is_set() else FAIL)(peer, connection, body)

    with over_http(http_peer(behave), breaker_failures=1, breaker_seconds=0.1) as processor:
        with pytest.raises(ProcessorUnavailable):
            processor.process([event()])
        assert processor.ready()
        wait_until(lambda: processor.breaker()["state"] == "half_open", "the time to try again")
        assert processor.ready() == []
        good.set()
        assert processor.process([event()]) == [Verdict("accept")]
        assert processor.breaker()["state"] == "closed"
        assert len(processor.breaker()["endpoints"][0]["transitions"]) == 3


def test_a_breaker_that_is_off_lets_every_batch_through():
    with over_http(peer := http_peer(FAIL), breaker=False) as processor:
        for _ in range(8):
            with pytest.raises(ProcessorUnavailable, match="HTTP 500"):
                processor.process([event()])
        assert len(peer.got) == 8
        assert processor.ready() == []
        report = processor.breaker()
        assert (report["enabled"], report["state"]) == (False, "closed")
        assert failures(processor) == [8]


def test_more_batches_than_the_pool_has_room_for_wait():
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(peer, connection, body):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        accept_all(peer, connection, body)

    with over_http(peer := http_peer(slow), pool_size=3, timeout=20) as processor:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            assert list(pool.map(lambda n: processor.process([event(n)]), range(30))) == [[Verdict("accept")]] * 30
        assert most == 3
        assert peer.connections == 3


def test_a_full_pool_is_no_failure_of_the_endpoint():
    with over_http(peer := http_peer(hang), pool_size=1, timeout=0.4) as processor:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            first = pool.submit(processor.process, [event()])
            wait_until(lambda: peer.got, "the first batch to arrive")
            with pytest.raises(ProcessorUnavailable, match=r"are busy|did not answer"):
                processor.process([event()])
            with pytest.raises(ProcessorUnavailable):
                first.result()
        assert failures(processor)[0] <= 2


class Endpoint:
    """Does what it is told."""

    def __init__(self, protocol, outcome):
        self.name = f"{protocol}://there"
        self.protocol = protocol
        self.outcome = outcome
        self.asked = 0

    def ask(self, events, seconds):
        self.asked += 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return [Verdict("accept")] * len(events)

    def close(self):
        self.outcome = ProcessorUnavailable("closed")


def over(*outcomes):
    endpoints = [Endpoint(protocol, outcome) for protocol, outcome in zip(("grpc", "http"), outcomes, strict=True)]
    ways = [Way(endpoint, Breaker(5, 30.0), 20) for endpoint in endpoints]
    return RemoteProcessor("grpc", [Instance(*ways)], 5.0), *endpoints


def test_what_the_first_way_does_not_reach_goes_by_the_second_also_while_its_breaker_is_open():
    processor, grpc, http = over(Unreached("no"), None)
    for _ in range(10):
        assert processor.process([event()]) == [Verdict("accept")]
    assert (grpc.asked, http.asked) == (5, 10)
    assert processor.ready() == []
    assert [endpoint["state"] for endpoint in processor.breaker()["endpoints"]] == ["open", "closed"]
    assert processor.breaker()["processor"] == "grpc"


def test_what_the_first_way_may_have_brought_goes_by_no_other():
    processor, grpc, http = over(ProcessorUnavailable("broken"), None)
    with pytest.raises(ProcessorUnavailable, match="broken"):
        processor.process([event()])
    assert (grpc.asked, http.asked) == (1, 0)


def test_an_endpoint_that_is_busy_is_asked_again():
    processor, grpc, http = over(Busy("enough to do"), None)
    for _ in range(10):
        processor.process([event()])
    assert (grpc.asked, http.asked) == (10, 10)
    assert failures(processor) == [0, 0]


def test_a_batch_whose_time_is_over_before_it_is_sent_is_no_failure_of_the_endpoint():
    endpoint = Endpoint("http", None)
    way = Way(endpoint, Breaker(1, 30.0), 1)
    with pytest.raises(Busy, match="are busy"):
        way.ask([event()], 1e-9)
    assert endpoint.asked == 0
    assert way.breaker.state == "closed"


def test_one_who_goes_away_in_the_middle_is_no_failure():
    processor, _, _ = over(KeyboardInterrupt(), None)
    for _ in range(10):
        with pytest.raises(KeyboardInterrupt):
            processor.process([event()])
    assert failures(processor) == [0, 0]


def test_closing_lets_go_of_every_endpoint():
    processor, grpc, http = over(None, None)
    processor.close()
    processor.close()
    assert isinstance(grpc.outcome, ProcessorUnavailable)
    assert isinstance(http.outcome, ProcessorUnavailable)
