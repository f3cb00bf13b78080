"""What a gateway's worker does with a processor: patched by gevent, forked, and then asking from many greenlets."""

import sys

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import socket  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
import pytest  # noqa: E402

from polyglot_gateway.errors import ProcessorUnavailable  # noqa: E402
from polyglot_gateway.processor import grpc  # noqa: E402, F401  # as a master that has imported everything
from polyglot_gateway.processor.base import ACCEPT, Event  # noqa: E402
from polyglot_gateway.processor.open import open_processor  # noqa: E402

KIND, URL, GRPC_PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])


def event(what: str, data: bytes = b"{}") -> Event:
    return Event("evt_1", "demo", "room:1", what, data, "2026-01-01T00:00:00.000000Z")


def work() -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            gevent.sleep(0.01)
            ticks += 1

    ticking = gevent.spawn(tick)
    processor = open_processor(KIND, [URL], grpc_port=GRPC_PORT, pool_size=12, timeout=10)
    begin = time.monotonic()
    slow = [gevent.spawn(processor.process, [event("wait", b"0.5")]) for _ in range(8)]
    quick = [gevent.spawn(processor.process, [event("accept")]) for _ in range(100)]
    gevent.joinall(slow + quick, raise_error=True)
    assert [greenlet.value for greenlet in slow + quick] == [[ACCEPT]] * 108
    took = time.monotonic() - begin
    assert took < 8 * 0.5, took
    assert ticks > 20 * took, (ticks, took)

    hurried = open_processor(KIND, [URL], grpc_port=GRPC_PORT, timeout=0.3)
    begin = time.monotonic()
    with pytest.raises(ProcessorUnavailable, match="did not answer"):
        hurried.process([event("wait", b"2")])
    assert time.monotonic() - begin < 1

    with gevent.Timeout(0.2, False):  # whoever asked goes away
        processor.process([event("wait", b"1")])
    assert processor.process([event("accept")]) == [ACCEPT]
    assert processor.breaker()["endpoints"][0]["failures"] == 0
    if KIND == "http":  # gRPC looks names up by itself
        socket.getaddrinfo = lambda *_, **__: gevent.sleep(60)
        begin = time.monotonic()
        with pytest.raises(ProcessorUnavailable, match="did not answer"):
            open_processor("http", ["http://slowly-resolved"], timeout=0.3).process([event("accept")])
        assert time.monotonic() - begin < 1
    hurried.close()
    processor.close()
    ticking.kill()


children = []
for _ in range(2):
    if (pid := os.fork()) == 0:
        try:
            work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        sys.exit()
    children.append(pid)
statuses = [os.waitpid(pid, 0)[1] for pid in children]
sys.exit(any(statuses))
