"""By HTTP: what arrives, and what becomes of a batch when the service misbehaves."""

import base64
import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time

import pytest
from tests.peers import (
    Peer,
    accept_all,
    event,
    hang,
    http_answer,
    http_peer,
    reset,
    say,
    trickle,
    unreachable_port,
)
from tests.serving import free_port, wait_until

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor import http, http_pool
from polyglot_gateway.processor.address import parse_address
from polyglot_gateway.processor.base import Verdict
from polyglot_gateway.processor.endpoint import Unreached
from polyglot_gateway.processor.http import HttpEndpoint

SECONDS = 0.5
SECRET = b'{"secret":"424242"}'


@contextlib.contextmanager
def endpoint_of(peer, path=""):
    with contextlib.closing(peer), contextlib.closing(HttpEndpoint(parse_address(peer.url + path), 4)) as found:
        yield found


def verdicts(*members):
    return http_answer(b'{"verdicts":[%s]}' % b",".join(members))


def test_an_event_goes_out_and_a_verdict_comes_back_byte_for_byte():
    odd = b'{ "b":1E+999,"a" : 123456789012345678901234567890.10,"a":"\\u00e9\xc3\xa9" , "deep":%s}' % (
        b"[" * 60 + b"]" * 60
    )
    answer = verdicts(
        b'{"id":"evt_0","verdict":"replace","data": %s }' % odd,
        b'{"id":"evt_1","verdict":"accept"}',
        b'{"id":"evt_2","verdict":"reject","reason":"n\\u00f6"}',
    )
    with endpoint_of(http_peer(say(answer)), "/of/mine/") as found:
        peer_events = [event(0, odd, user_id="u\"'ü", source_ip="::1"), event(1), event(2)]
        assert found.ask(peer_events, 10) == [
            Verdict("replace", odd),
            Verdict("accept"),
            Verdict("reject", reason="nö"),
        ]


def test_the_request_is_what_the_service_takes():
    with endpoint_of(peer := http_peer(accept_all), "/of/mine/") as found:
        found.ask([event(7, SECRET, user_id="u", source_ip="::1")], 10)
        head, _, body = peer.got[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /of/mine/process-batch HTTP/1.1\r\n")
        assert b"application/json" in head
        assert b"authorization" not in head.lower()
        assert SECRET in body
        meta = {"user_id": "u", "ts": "2026-01-01T00:00:00.000000Z", "source_ip": "::1"}
        what = {"id": "evt_7", "app_id": "demo", "channel": "room", "type": "message", "data": json.loads(SECRET)}
        assert json.loads(body) == {"events": [{**what, "meta": meta}]}


def test_a_user_and_password_are_sent_and_never_said():
    with contextlib.closing(http_peer(say(http_answer(b"", "500 No")))) as peer:
        address = parse_address(peer.url.replace("//", "//me:s%40cret@"))
        with pytest.raises(ProcessorUnavailable) as caught:
            HttpEndpoint(address, 1).ask([event()], 10)
        assert f"authorization: Basic {base64.b64encode(b'me:s@cret').decode()}".lower().encode() in peer.got[0].lower()
        assert "cret" not in caught.value.message


def test_a_connection_is_used_again_and_replaced_when_the_service_has_closed_it():
    def close_after_the_second(peer, connection, body):
        accept_all(peer, connection, body)
        if len(peer.got) == 2:
            raise EOFError

    with endpoint_of(peer := http_peer(close_after_the_second)) as found:
        found.ask([event()], 10)
        assert peer.connections == 1
        found.ask([event()], 10)
        assert peer.connections == 1
        sock = found._pool.pool.queue[-1].sock
        wait_until(lambda: not _peek(sock), "the end of the connection")
        found.ask([event()], 10)
        assert (peer.connections, len(peer.got)) == (2, 3)


def test_a_connection_that_lay_idle_for_long_is_not_used_again(monkeypatch):
    """The service may be closing it at this moment."""
    with endpoint_of(peer := http_peer(accept_all)) as found:
        found.ask([event()], 10)
        monkeypatch.setattr(http_pool, "IDLE_SECONDS", 0)
        found.ask([event()], 10)
        assert (peer.connections, len(peer.got)) == (2, 2)


def _peek(sock):
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b"nothing yet"


def test_a_connection_whose_answer_was_bad_is_not_used_again():
    with endpoint_of(
        peer := http_peer(lambda _, connection, __: connection.sendall(http_answer(b"", "500 No")))
    ) as found:
        for _ in range(6):
            with pytest.raises(ProcessorUnavailable):
                found.ask([event()], 10)
        assert peer.connections == 6


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ACCEPTED = b'{"id":"evt_0","verdict":"accept"}'
MISBEHAVIOURS = {
    "hangs": (hang, "did not answer within 500 ms"),
    "trickles its head": (trickle(b"HTTP/1.1 200 OK\r\nX: ", b"x"), "did not answer within 500 ms"),
    "trickles its body": (trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "), "did not answer within"),
    "trickles chunks": (trickle(CHUNKED, b"1\r\n \r\n"), "did not answer within"),
    "says to continue, for ever": (trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "did not answer within"),
    "closes": (say(), "broke off: the connection was closed before the end"),
    "resets": (reset, "broke off: Connection reset by peer"),
    "closes in the head": (say(b"HTTP/1.1 200 OK\r\nContent-"), "answered something else than verdicts"),
    "closes in the answer": (say(verdicts(ACCEPTED)[:-5]), "broke off: the connection was closed before the end"),
    "closes in a chunk": (say(CHUNKED, b'40\r\n{"verdicts"'), "broke off: the connection was closed before the end"),
    "speaks no HTTP": (say(b"424242 secret\r\n\r\n"), "broke off: its answer is not HTTP"),
    "has bad chunks": (say(CHUNKED, b"424242secret\r\n\r\n"), "broke off: "),
    "has a chunk below zero": (say(CHUNKED, b"-5\r\n12345\r\n"), "broke off: "),
    "has a long line": (say(b"HTTP/1.1 200 OK\r\nX: ", b"424242" * 50_000), "broke off: its answer is not HTTP"),
    "has two lengths": (say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 2\r\n\r\n424242"), "broke off: "),
    "answers 500": (say(http_answer(SECRET, "500 424242")), "answered with HTTP 500"),
    "answers 204": (say(b"HTTP/1.1 204 424242\r\n\r\n"), "answered with HTTP 204"),
    "leads elsewhere": (say(http_answer(b"", "307 No", "Location: /process-batch")), "answered with HTTP 307"),
    "answers nothing": (say(http_answer(b"")), "answered something else than verdicts"),
    "answers no JSON": (say(http_answer(SECRET[:-1])), "answered something else than verdicts"),
    "answers other JSON": (
        say(http_answer(b'{"verdicts":{"secret":424242}}')),
        "answered something else than verdicts",
    ),
    "answers bottomless JSON": (say(http_answer(b'{"verdicts":[' + b"[" * 200_000)), "something else than verdicts"),
    "answers deep data": (
        say(verdicts(b'{"id":"evt_0","verdict":"replace","data":%s}' % (b"[" * 100_000 + b"]" * 100_000))),
        "answered something else than verdicts",
    ),
    "answers half a character": (
        say(verdicts(b'{"id":"evt_0","verdict":"reject","reason":"\\ud800"}')),
        "answered something else than verdicts",
    ),
    "answers data that is no text": (
        say(verdicts(b'{"id":"evt_0","verdict":"replace","data":"\xff"}')),
        "answered something else than verdicts",
    ),
    "answers NaN": (say(verdicts(b'{"id":"evt_0","verdict":"replace","data":NaN}')), "something else than verdicts"),
    "answers no text": (say(verdicts(b'{"id":"\xff","verdict":"accept"}')), "something else than verdicts"),
    "answers another id": (say(verdicts(ACCEPTED.replace(b"_0", b"_424242"))), "answered verdicts on other events"),
    "answers too little": (say(verdicts()), "answered 0 verdicts on 1 events"),
    "answers too much": (say(verdicts(ACCEPTED, ACCEPTED)), "answered 2 verdicts on 1 events"),
    "answers an odd word": (say(verdicts(ACCEPTED.replace(b"accept", b"424242"))), "something else than verdicts"),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_a_batch_that_may_have_been_processed_fails_in_time_and_is_sent_once(name):
    behave, said = MISBEHAVIOURS[name]
    with endpoint_of(peer := http_peer(behave)) as found:
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable, match=said) as caught:
            found.ask([event(0, SECRET)], SECONDS)
        assert time.monotonic() - begin < SECONDS + 0.5
        assert not isinstance(caught.value, Unreached)
        assert caught.value.message.startswith(f"The processor at {peer.url} ")
        assert "424242" not in caught.value.message
        assert "secret" not in caught.value.message
        assert len(peer.got) == 1


@pytest.mark.parametrize("declared", [True, False])
def test_an_answer_that_is_too_long_is_not_read(monkeypatch, declared):
    monkeypatch.setattr(http, "MOST_BYTES", 10_000)
    sent = []

    def endless(_, connection, __):
        connection.sendall(b"HTTP/1.1 200 OK\r\n%s\r\n" % (b"Content-Length: 9999999999\r\n" if declared else b""))
        with contextlib.suppress(OSError):
            while True:
                sent.append(connection.send(b" " * 10_000))
        raise EOFError

    with endpoint_of(http_peer(endless)) as found, pytest.raises(ProcessorUnavailable, match="more than 10000 bytes"):
        found.ask([event()], 10)
    assert sum(sent) < 10 << 20


def test_a_service_that_does_not_read_costs_no_more_than_the_time():
    def deaf(peer, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hang(peer)

    with endpoint_of(Peer(deaf)) as found:
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable):
            found.ask([event(number, b'"%s"' % (b"x" * 1_000_000)) for number in range(20)], SECONDS)
        assert time.monotonic() - begin < SECONDS + 0.5


def test_a_closed_port_is_told_apart():
    with pytest.raises(
        Unreached, match=r"^The processor at http://127.0.0.1:\d+ cannot be reached: Connection refused\.$"
    ):
        HttpEndpoint(parse_address(f"http://127.0.0.1:{free_port()}"), 1).ask([event()], 10)


def test_a_name_that_nobody_has_is_told_apart():
    with pytest.raises(Unreached, match=r"^The processor at http://nowhere.invalid:80 cannot be reached: [A-Z].*\.$"):
        HttpEndpoint(parse_address("http://nowhere.invalid"), 1).ask([event()], 10)


def test_connecting_takes_half_of_the_time_so_that_another_gets_the_rest():
    with unreachable_port() as port:
        begin = time.monotonic()
        with pytest.raises(Unreached, match="cannot be reached: no connection in time"):
            HttpEndpoint(parse_address(f"http://127.0.0.1:{port}"), 1).ask([event()], SECONDS)
        assert time.monotonic() - begin < SECONDS * 0.9


def test_over_tls_a_service_is_asked_only_when_it_is_trusted(tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    served = http_peer(accept_all)
    plain, served._behave = served._behave, lambda peer, raw: plain(peer, context.wrap_socket(raw, server_side=True))
    with contextlib.closing(served):
        address = parse_address(f"https://localhost:{served.port}")
        with pytest.raises(ProcessorUnavailable, match=r"is not trusted: .*self-signed certificate"):
            HttpEndpoint(address, 1).ask([event()], 10)
        assert served.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert HttpEndpoint(address, 1).ask([event()], 10) == [Verdict("accept")]


def test_threads_share_an_endpoint_and_its_connections():
    with endpoint_of(peer := http_peer(accept_all)) as found:
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.extend(found.ask([event(n)], 10)[0] for n in range(50)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 200
        assert peer.connections <= 4


def test_closing_twice_is_harmless():
    found = HttpEndpoint(parse_address("http://127.0.0.1:1"), 1)
    found.close()
    found.close()
    with pytest.raises(Unreached, match=r"^The processor at http://127.0.0.1:1 is not asked any more\.$"):
        found.ask([event()], 1)
