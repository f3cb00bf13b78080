"""A listening socket is closed when nobody waits there."""

import gevent
from gevent import socket

from polyglot_gateway.server.wsgi_worker import LastTakingServer


def test_those_who_wait_are_taken_before_it_closes():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    address = listener.getsockname()
    server = LastTakingServer(listener, handle=lambda client, _: client.sendall(client.recv(100)))
    server.start()
    clients = [socket.create_connection(address, timeout=10) for _ in range(5)]
    for number, client in enumerate(clients):
        client.sendall(b"%d" % number)
    server.close()
    with gevent.Timeout(10):
        assert [client.recv(100) for client in clients] == [b"0", b"1", b"2", b"3", b"4"]
    server.close()
