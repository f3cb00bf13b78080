import contextlib
import socket
import threading

import pytest

from polyglot_gateway.server.address import parse_bind, why_not_free


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1:4000", ("127.0.0.1", 4000)),
        ("localhost:80", ("localhost", 80)),
        ("[::1]:4000", ("::1", 4000)),
        ("unix:/run/polyglot.sock", "/run/polyglot.sock"),
    ],
)
def test_what_bind_names(bind, address):
    assert parse_bind(bind) == address


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def bind_of(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_taken_port(taken):
    assert why_not_free(bind_of(taken)) == "it is in use"


def test_a_free_port(taken):
    bind = bind_of(taken)
    taken.close()
    assert why_not_free(bind) is None


def test_with_patience_a_port_that_is_given_up_in_time_is_free(taken):
    giving_up = threading.Timer(0.2, taken.close)
    giving_up.start()
    assert why_not_free(bind_of(taken), patience=10) is None
    giving_up.join()


def test_an_address_of_another_machine():
    reason = why_not_free("203.0.113.1:4000")
    assert reason is not None
    assert "assign" in reason


def test_a_host_that_does_not_exist():
    assert why_not_free("no-such-host.invalid:4000") is not None


def test_unix_sockets(tmp_path):
    path = tmp_path / "gateway.sock"
    assert why_not_free(f"unix:{path}") is None
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()
        assert why_not_free(f"unix:{path}") == "it is in use"
    assert path.exists()
    assert why_not_free(f"unix:{path}") is None
    reason = why_not_free(f"unix:{tmp_path}/missing/gateway.sock")
    assert reason is not None
    assert "missing" in reason
