import socket
from contextlib import closing

import pytest
from tests.serving import free_port

from polyglot_gateway.errors import SettingsError


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("polyglot_gateway.server.address.PATIENCE_SECONDS", 0)


@pytest.fixture
def taken():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield str(server.getsockname()[1])


def refused(polyglot, *arguments):
    return polyglot("processor", *arguments, fails=SettingsError).exception.message


def test_a_port_that_is_taken_is_told(polyglot, taken):
    said = refused(polyglot, "--http", taken, "--grpc", "0")
    assert said == f"http: cannot listen on 127.0.0.1:{taken}: it is in use; choose another with --http"
    assert refused(polyglot, "--http", "0", "--grpc", taken).startswith("grpc: cannot listen")


@pytest.mark.parametrize("port", ["0", "8080"])
def test_http_and_grpc_need_different_ports(polyglot, port):
    assert "both are" in refused(polyglot, "--http", port, "--grpc", port)


def test_an_address_of_another_machine_is_told(polyglot):
    said = refused(polyglot, "--host", "192.0.2.1", "--grpc", "0", "--http", str(free_port()))
    assert "cannot listen on 192.0.2.1:" in said


@pytest.mark.parametrize("name", ["no_such_module:process", "json:process", "json"])
def test_a_function_that_cannot_be_had_is_told(polyglot, name):
    said = refused(polyglot, "--http", str(free_port()), "--grpc", "0", "--function", name)
    assert said.startswith(f"function: '{name}': ")
