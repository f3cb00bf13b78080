"""SIGTERM with many open sockets: each is told to connect again, and not all at the same moment."""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable

import pytest
from tests.processes import many_descriptors, serving_workers, worker_of
from tests.serving import Gateway
from tests.websocket import Ended, WebSocket

SOCKETS = 1000
GRACE = 6.0
"""Seconds; half of them are for sending the sockets away."""


def read_ends(sockets: list[WebSocket]) -> dict[WebSocket, tuple[int, float]]:
    """The close code that each gets, and when; each goes as soon as it is told."""
    ends = {}
    with selectors.DefaultSelector() as selector:
        for socket in sockets:
            selector.register(socket.socket, selectors.EVENT_READ, socket)
        while selector.get_map():
            ready = selector.select(timeout=20)
            assert ready, f"{len(selector.get_map())} sockets were told nothing"
            for key, _ in ready:
                selector.unregister(key.fileobj)
                with pytest.raises(Ended) as ended:
                    key.data.message()
                ends[key.data] = (ended.value.code, time.monotonic())
                key.data.close()
    return ends


def test_a_thousand_sockets_are_sent_away_one_after_another(start: Callable[..., Gateway]) -> None:
    with many_descriptors(), contextlib.ExitStack() as stack:
        gateway = start("--graceful-timeout", str(int(GRACE)))
        workers = serving_workers(gateway)
        stubborn = [stack.enter_context(WebSocket(gateway.port)) for _ in range(20)]  # they neither read nor go
        sockets = [stack.enter_context(WebSocket(gateway.port)) for _ in range(SOCKETS)]
        for number, socket in enumerate(sockets):
            socket.ask_to_join(f"room:{number % 10}")
        for socket in sockets:
            assert socket.reply("1")[0] == "ok"
            socket.next("presence_state")
        streams = [gateway.subscribe("room:1") for _ in range(20)]
        shares = {pid: sum(worker_of(gateway, each) == pid for each in sockets[::50]) for pid in workers}
        assert sum(shares.values()) == SOCKETS / 50

        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        ends = read_ends(sockets)
        for stream in streams:
            with pytest.raises(EOFError):
                stream.next()
            assert stream.response.isclosed(), "its last chunk is missing"
            stream.close()
        assert gateway.process.wait(20) == 0
        assert time.monotonic() - began < GRACE
        assert {code for code, _ in ends.values()} == {1012}
        times = sorted(at - began for _, at in ends.values())
        assert times[-1] - times[0] > 1.5, times[:: SOCKETS // 10]
        within = max(sum(at <= other < at + 0.2 for other in times) for at in times[::10])
        assert within < SOCKETS / 3, f"{within} of {SOCKETS} had to come back within 200 ms"
        for socket in stubborn:
            assert socket.end()[0] == 1012
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)
