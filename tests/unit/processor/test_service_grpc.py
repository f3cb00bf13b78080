import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from polyglot_gateway.processor.proto.processor_pb2 import Event, Events, Verdict, Verdicts
from polyglot_gateway.processor.proto.processor_pb2_grpc import ProcessorStub
from tests.serving import PATIENCE, wait_until

from polyglot_gateway.processor import service_grpc
from polyglot_gateway.processor.base import ACCEPT, MOST_BYTES
from polyglot_gateway.processor.service import MOST_CALLS


def sent(data=b"1", number=1):
    return Event(id=f"evt_{number}", app_id="demo", channel="room:1", type="message", data=data)


@pytest.fixture
def serve():
    servers, channels = [], []

    def start(service):
        server = service_grpc.GrpcServer(service, "127.0.0.1:0")
        server.start()
        servers.append(server)
        channels.append(grpc.insecure_channel(f"127.0.0.1:{server.port}"))
        return server, ProcessorStub(channels[-1])

    yield start
    for channel in channels:
        channel.close()
    for server in servers:
        server.stop(0).wait(PATIENCE)


@pytest.fixture
def stub(serve, service):
    return serve(service)[1]


def test_one_event_gets_one_verdict(stub):
    assert stub.Process(sent(b'"replace"')) == Verdict(id="evt_1", kind=Verdict.REPLACE, data=b'{"n":1.10}')


def test_a_batch_gets_a_verdict_for_each_event_in_order(stub):
    answer = stub.ProcessBatch(Events(events=[sent(b'"accept"', 1), sent(b'"reject"', 2)]))
    assert list(answer.verdicts) == [
        Verdict(id="evt_1", kind=Verdict.ACCEPT),
        Verdict(id="evt_2", kind=Verdict.REJECT, reason="because of “it”"),
    ]


def test_a_stream_gives_one_answer_for_each_request_in_order(stub):
    batches = [Events(events=[sent(number=n)] * n) for n in range(4)]
    answers = list(stub.ProcessStream(iter(batches)))
    assert [[verdict.id for verdict in answer.verdicts] for answer in answers] == [[f"evt_{n}"] * n for n in range(4)]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"{", grpc.StatusCode.INVALID_ARGUMENT, "invalid_json: The data of event 0 is not strict JSON"),
        (b'"raise"', grpc.StatusCode.INTERNAL, "processor_failed: .*it raised KeyError"),
    ],
)
def test_what_goes_wrong_has_a_status_and_a_code_in_each_kind_of_call(stub, data, status, code):
    batch = Events(events=[sent(data)])
    for call in (
        lambda: stub.Process(sent(data)),
        lambda: stub.ProcessBatch(batch),
        lambda: list(stub.ProcessStream(iter([batch]))),
    ):
        with pytest.raises(grpc.RpcError, match=code) as caught:
            call()
        assert caught.value.code() == status


def test_what_was_not_foreseen_is_internal(stub, service, monkeypatch):
    monkeypatch.setattr(service.rollups, "add", lambda *_: 1 / 0)
    with pytest.raises(grpc.RpcError, match="internal_error") as caught:
        stub.Process(sent())
    assert caught.value.code() == grpc.StatusCode.INTERNAL


def test_a_large_message_is_refused(stub):
    assert stub.Process(sent(b'"%s"' % (b"x" * (MOST_BYTES // 2)))).kind == Verdict.ACCEPT
    with pytest.raises(grpc.RpcError) as caught:
        stub.Process(sent(b'"%s"' % (b"x" * MOST_BYTES)))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_more_events_than_a_batch_has_are_refused(stub):
    with pytest.raises(grpc.RpcError, match="payload_too_large"):
        stub.ProcessBatch(Events(events=[sent()] * 1001))


class Gate:
    """A function that waits in each call until it may go on."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, events):
        self.entered.release()
        assert self.open.wait(2 * PATIENCE)  # longer than anything that a test waits for
        return [ACCEPT] * len(events)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def test_a_call_ends_at_its_deadline_and_its_place_is_free_once_the_function_has_returned(serve, make_service, gate):
    _, stub = serve(make_service(gate))
    for _ in range(MOST_CALLS):
        with pytest.raises(grpc.RpcError) as caught:
            stub.Process(sent(), timeout=0.01)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    gate.open.set()
    wait_until(lambda: stub.Process.future(sent()).exception(PATIENCE) is None, "a free place")


@pytest.fixture
def full(serve, make_service, gate):
    """A server whose function has all calls that it gets at once, a stub, and those calls."""
    server, stub = serve(make_service(gate))
    calls = [stub.Process.future(sent()) for _ in range(MOST_CALLS)]
    for _ in calls:
        assert gate.entered.acquire(timeout=PATIENCE)
    return server, stub, calls


def health_of(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status


def test_calls_beyond_those_that_the_function_gets_at_once_wait_and_health_does_not(full, gate):
    server, stub, calls = full
    calls += [stub.Process.future(sent()) for _ in range(service_grpc.MOST_WAITING + 1)]
    (refused,) = wait_until(lambda: [call for call in calls if call.done()], "a call to be refused")
    assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.details().startswith("overloaded: ")
    assert health_of(server) == health_pb2.HealthCheckResponse.SERVING
    assert not gate.entered.acquire(blocking=False)
    gate.open.set()
    assert all(call.result(PATIENCE) for call in calls if call is not refused)


def test_a_call_that_nobody_waits_for_any_more_is_not_given_to_the_function(full, gate):
    _, stub, calls = full
    with pytest.raises(grpc.RpcError) as caught:
        stub.Process(sent(), timeout=0.05)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    given_up = stub.Process.future(sent())
    stub.Process.future(sent(), timeout=0.05).exception(PATIENCE)  # what was sent before has arrived
    given_up.cancel()
    stub.Process.future(sent(), timeout=0.05).exception(PATIENCE)
    gate.open.set()
    assert all(call.result(PATIENCE) for call in calls)
    assert stub.Process(sent()).kind == Verdict.ACCEPT
    assert gate.entered.acquire(blocking=False)
    assert not gate.entered.acquire(blocking=False)


def test_a_call_leaves_its_place_at_its_deadline(monkeypatch, request):
    monkeypatch.setattr(service_grpc, "MOST_WAITING", 1)
    _, stub, _ = request.getfixturevalue("full")

    def has_place():
        call = stub.Process.future(sent(), timeout=0.05)
        return call.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    assert has_place()
    wait_until(has_place, "the place of a call that has ended")


class Requests:
    """What a client says on a stream, one thing after the other, until it is closed."""

    def __init__(self):
        self._more = threading.Semaphore(0)
        self._end = False

    def __iter__(self):
        return self

    def __next__(self):
        self._more.acquire()
        if self._end:
            raise StopIteration
        return Events(events=[sent()])

    def say(self):
        self._more.release()

    def close(self):
        self._end = True
        self._more.release()


@pytest.fixture
def requests():
    made = []

    def make():
        made.append(Requests())
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_streams_leave_threads_for_other_calls(stub, requests):
    streams = []
    for _ in range(service_grpc.MOST_STREAMS):
        said = requests()
        said.say()
        streams.append(stub.ProcessStream(said))
        assert len(next(streams[-1]).verdicts) == 1
    with pytest.raises(grpc.RpcError, match="overloaded"):
        list(stub.ProcessStream(iter([Events()])))
    assert stub.Process(sent()).kind == Verdict.ACCEPT
    streams.pop().cancel()

    def has_place():
        with contextlib.suppress(grpc.RpcError):
            return list(stub.ProcessStream(iter([Events()]))) == [Verdicts()]

    wait_until(has_place, "the place of a stream that has ended")


def test_stopping_lets_calls_end_and_ends_streams(serve, make_service, gate, requests):
    server, stub = serve(make_service(gate))
    idle, busy = requests(), requests()
    idle_stream, busy_stream = stub.ProcessStream(idle), stub.ProcessStream(busy)
    gate.open.set()
    idle.say()
    next(idle_stream)
    gate.entered.acquire()
    gate.open.clear()
    call = stub.Process.future(sent())
    busy.say()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(next, busy_stream)
        for _ in range(2):
            assert gate.entered.acquire(timeout=PATIENCE)
        stopped = server.stop(PATIENCE)
        with pytest.raises((grpc.RpcError, StopIteration)):
            next(idle_stream)
        assert not stopped.is_set()
        gate.open.set()
        assert len(answer.result(PATIENCE).verdicts) == 1
    assert call.result(PATIENCE).kind == Verdict.ACCEPT
    assert list(busy_stream) == []
    assert stopped.wait(PATIENCE)


def test_health_changes_when_it_stops(serve, make_service, gate):
    server, stub = serve(make_service(gate))
    call = stub.Process.future(sent())
    assert gate.entered.acquire(timeout=PATIENCE)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", service_grpc.NAME):
            request = health_pb2.HealthCheckRequest(service=name)
            assert health.Check(request).status == health_pb2.HealthCheckResponse.SERVING
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.stop(PATIENCE)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert list(watch) == []
        gate.open.set()
        assert call.result(PATIENCE).kind == Verdict.ACCEPT
