"""By gRPC: what arrives, and what becomes of a batch when the service misbehaves."""

import base64
import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import grpc
import pytest
from tests.grpc_service import accept_all, service
from tests.grpc_service import hang as hang_as_service
from tests.peers import Peer, event, frame, goaway, hang, http2_peer, say, unreachable_port
from tests.serving import free_port, wait_until

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor import grpc as ours
from polyglot_gateway.processor.address import parse_address
from polyglot_gateway.processor.base import Verdict
from polyglot_gateway.processor.endpoint import Busy, Unreached
from polyglot_gateway.processor.grpc import GrpcEndpoint
from polyglot_gateway.processor.proto import processor_pb2 as pb

SECONDS = 0.6
SECRET = b'{"secret":"424242"}'


def to(port, user=""):
    address = parse_address(f"http://{user}127.0.0.1:1")
    return contextlib.closing(GrpcEndpoint(address, port, connect_seconds=SECONDS / 2))


def verdicts(*members):
    return lambda request, context: pb.Verdicts(verdicts=members).SerializeToString()


ACCEPTED = pb.Verdict(id="evt_0", kind=pb.Verdict.ACCEPT)


def test_an_event_goes_out_and_a_verdict_comes_back_byte_for_byte():
    odd = b'{ "b":1E+999,"a" : 123456789012345678901234567890.10,"a":"\\u00e9\xc3\xa9" }'
    got = []

    def answer(request, context):
        got.extend(pb.Events.FromString(request).events)
        return verdicts(
            pb.Verdict(id="evt_0", kind=pb.Verdict.REPLACE, data=odd),
            pb.Verdict(id="evt_1", kind=pb.Verdict.ACCEPT),
            pb.Verdict(id="evt_2", kind=pb.Verdict.REJECT, reason="nö"),
        )(request, context)

    with service(answer) as served, to(served.port) as found:
        traced = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        sent = [event(0, odd, user_id="ü", source_ip="::1", **traced), event(1), event(2)]
        answered = found.ask(sent, 10)
    assert answered == [Verdict("replace", odd), Verdict("accept"), Verdict("reject", reason="nö")]
    names = ("id", "app_id", "channel", "type", "data", "ts", "user_id", "source_ip", "traceparent")
    assert [tuple(getattr(e, name) for name in names) for e in got] == sent


def test_a_user_and_password_are_sent_and_never_said():
    with service(verdicts()) as served, to(served.port, "me:s%40cret@") as found:
        with pytest.raises(ProcessorUnavailable) as caught:
            found.ask([event()], 10)
        assert served.calls[0]["authorization"] == f"Basic {base64.b64encode(b'me:s@cret').decode()}"
    assert "cret" not in caught.value.message


def refuse(code):
    return lambda request, context: context.abort(code, "424242 secret")


MISBEHAVIOURS = {
    "hangs": (hang_as_service, "did not answer within 600 ms"),
    "raises": (lambda *_: 1 / 0, "with the status UNKNOWN"),
    "fails": (refuse(grpc.StatusCode.INTERNAL), "with the status INTERNAL"),
    "is not there": (refuse(grpc.StatusCode.UNAVAILABLE), "with the status UNAVAILABLE"),
    "has too much": (refuse(grpc.StatusCode.RESOURCE_EXHAUSTED), "with the status RESOURCE_EXHAUSTED"),
    "answers no message": (lambda *_: b"\xff424242", "something else than verdicts"),
    "answers another id": (
        verdicts(pb.Verdict(id="evt_424242", kind=pb.Verdict.ACCEPT)),
        "answered verdicts on other events",
    ),
    "answers too little": (verdicts(), "answered 0 verdicts on 1 events"),
    "answers too much": (verdicts(ACCEPTED, ACCEPTED), "answered 2 verdicts on 1 events"),
    "answers nothing definite": (verdicts(pb.Verdict(id="evt_0")), "answered something else than verdicts"),
    "answers an odd kind": (verdicts(pb.Verdict(id="evt_0", kind=99)), "answered something else than verdicts"),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_a_batch_that_may_have_been_processed_fails_in_time_and_is_sent_once(name):
    answer, said = MISBEHAVIOURS[name]
    with service(answer) as served, to(served.port) as found:
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable, match=said) as caught:
            found.ask([event(0, SECRET)], SECONDS)
        assert time.monotonic() - begin < SECONDS + 0.5
        assert not isinstance(caught.value, Unreached)
        assert caught.value.message.startswith(f"The processor at grpc://127.0.0.1:{served.port} ")
        assert "424242" not in caught.value.message
        assert "secret" not in caught.value.message
        assert len(served.calls) == 1


def test_an_answer_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(ours, "MOST_BYTES", 10_000)
    with (
        service(lambda *_: b"x" * 20_000) as served,
        to(served.port) as found,
        pytest.raises(ProcessorUnavailable, match="RESOURCE_EXHAUSTED") as caught,
    ):
        found.ask([event()], 10)
    assert not isinstance(caught.value, Unreached)


def test_a_service_that_has_enough_to_do_is_told_apart():
    entered, leave = threading.Event(), threading.Event()

    def answer(request, context):
        entered.set()
        leave.wait(20)
        return accept_all(request, context)

    with (
        service(answer, maximum_concurrent_rpcs=1) as served,
        to(served.port) as found,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        first = pool.submit(found.ask, [event()], 10)
        entered.wait(20)
        with pytest.raises(Busy, match=r"^The processor at grpc://127.0.0.1:\d+ is overloaded\.$"):
            found.ask([event()], 10)
        leave.set()
        assert first.result() == [Verdict("accept")]


def close(peer, connection, stream):
    raise EOFError


def say_goaway(last, more=b""):
    def answer(peer, connection, stream):
        connection.sendall(goaway(stream if last is None else last) + more)
        raise EOFError

    return answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (hang, "did not answer within 600 ms"),
        (close, "with the status UNAVAILABLE"),
        (say_goaway(None), "with the status UNAVAILABLE"),
        (say(frame(1, b"\xff\xff\xff", 4, 1)), "with the status"),
        (say(b"424242" * 100), "with the status"),
    ],
    ids=["hangs", "closes", "goes away after it took the call", "has bad headers", "breaks the protocol"],
)
def test_a_connection_that_ends_after_the_call_was_taken_sends_nothing_twice(answer, said):
    with contextlib.closing(http2_peer(answer)) as peer, to(peer.port) as found:
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable, match=said) as caught:
            found.ask([event(0, SECRET)], SECONDS)
        assert time.monotonic() - begin < SECONDS + 0.5
        assert not isinstance(caught.value, Unreached)
        assert len(peer.got) == 1


def test_a_call_that_the_service_says_it_has_not_taken_is_sent_on_a_new_connection():
    with contextlib.ExitStack() as stack:

        def answer(peer, connection, stream):
            if len(peer.got) == 1:
                connection.sendall(goaway(0))
            else:
                hang(peer)

        peer = stack.enter_context(contextlib.closing(http2_peer(answer)))
        found = stack.enter_context(to(peer.port))
        with pytest.raises(ProcessorUnavailable):
            found.ask([event()], SECONDS)
        assert (peer.connections, len(peer.got)) == (2, 2)
        assert peer.got[0] == peer.got[1]


def test_after_a_service_has_drained_the_next_is_asked():
    port = free_port()
    with to(port) as found:
        for _ in range(3):
            with service(accept_all, port):
                for _ in range(8):
                    assert found.ask([event()], 10) == [Verdict("accept")]


def test_a_service_that_was_away_is_found_again():
    port = free_port()
    with to(port) as found:
        for _ in range(20):
            with pytest.raises(Unreached):
                found.ask([event()], SECONDS)

        def answers():
            with contextlib.suppress(Unreached):
                return found.ask([event()], SECONDS)

        with service(accept_all, port):
            for _ in range(4):
                wait_until(answers, "an answer")


@pytest.mark.parametrize("behave", [hang, lambda *_: None, lambda _, c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
                         ids=["hangs", "closes", "speaks HTTP/1.1"])  # fmt: skip
def test_what_is_no_grpc_service_is_not_reached(behave):
    with contextlib.closing(Peer(behave)) as peer, to(peer.port) as found:
        begin = time.monotonic()
        with pytest.raises(Unreached, match="cannot be reached: "):
            found.ask([event(0, SECRET)], 2 * SECONDS)
        assert time.monotonic() - begin < 2 * SECONDS


def test_a_closed_port_is_told_apart():
    said = r"^The processor at grpc://127.0.0.1:\d+ cannot be reached: Connection refused\.$"
    with to(free_port()) as found, pytest.raises(Unreached, match=said):
        found.ask([event()], 10)


def test_a_name_that_nobody_has_is_told_apart():
    nowhere = GrpcEndpoint(parse_address("http://nowhere.invalid"), 9090, connect_seconds=1)
    said = r"^The processor at grpc://nowhere.invalid:9090 cannot be reached: [A-Z].*\.$"
    with contextlib.closing(nowhere), pytest.raises(Unreached, match=said):
        nowhere.ask([event()], 10)


def test_connecting_takes_half_of_the_time_so_that_another_gets_the_rest():
    with unreachable_port() as port, to(port) as found:
        begin = time.monotonic()
        with pytest.raises(Unreached):
            found.ask([event()], SECONDS)
        assert time.monotonic() - begin < SECONDS * 0.9


SERVICE = """
import sys, time, grpc, concurrent.futures
class Handler(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda *_: print("taken", flush=True) or time.sleep(60))
server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((Handler(),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


def test_a_service_that_is_killed_in_a_batch_is_a_failure_at_once():
    with (
        subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True) as served,
        to(int(served.stdout.readline())) as found,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        asked = pool.submit(found.ask, [event()], 10)
        assert served.stdout.readline() == "taken\n"
        os.kill(served.pid, signal.SIGKILL)
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable, match="UNAVAILABLE") as caught:
            asked.result()
        assert time.monotonic() - begin < 5
        assert not isinstance(caught.value, Unreached)


def test_closing_twice_is_harmless():
    with to(1) as found:
        found.close()
        with pytest.raises(Unreached, match=r"^The processor at grpc://127.0.0.1:1 is not asked any more\.$"):
            found.ask([event()], 1)
