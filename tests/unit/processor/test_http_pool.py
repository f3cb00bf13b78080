import contextlib
import time

import pytest
import urllib3
from tests.peers import hang, http_peer, trickle
from urllib3.exceptions import ReadTimeoutError

from polyglot_gateway.processor.http_pool import Pool


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_a_limit_for_reading_is_one_for_the_whole_answer(beginning):
    with contextlib.closing(http_peer(trickle(beginning, b" "))) as peer:
        pool = Pool("127.0.0.1", peer.port)
        begin = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            pool.urlopen("POST", "/", b"{}", retries=False, timeout=urllib3.Timeout(total=0.3))
        assert 0.2 < time.monotonic() - begin < 1


def test_a_byte_that_comes_late_buys_no_time():
    def late(peer, connection, body):
        peer.ended.wait(0.4)
        connection.sendall(b"H")
        hang(peer)

    with contextlib.closing(http_peer(late)) as peer:
        begin = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            Pool("127.0.0.1", peer.port).urlopen("POST", "/", b"{}", retries=False, timeout=urllib3.Timeout(total=0.5))
        assert time.monotonic() - begin < 0.8
