import contextlib
import resource
import socket
import socketserver
import sys
import threading
import wsgiref.simple_server

import pytest
from tests.peers import Peer, http_answer
from tests.serving import free_port
from tests.versions import set_version

from polyglot_gateway.app import open_engine
from polyglot_gateway.cli import doctor_checks
from polyglot_gateway.errors import StorageError
from polyglot_gateway.settings import load_settings


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_app(self):
        return self.application


class RequestHandler(wsgiref.simple_server.WSGIRequestHandler):
    def address_string(self):
        return "127.0.0.1"

    def get_environ(self):
        self.client_address = ("127.0.0.1", 0)
        return super().get_environ()

    def log_message(self, *_):
        pass


def test_a_running_gateway_at_the_address_is_fine(in_process_gateway):
    finding = doctor_checks.check_address(load_settings(bind=f"127.0.0.1:{in_process_gateway.port}"))
    assert finding.level == "ok"
    assert "answers" in finding.found


def test_a_gateway_that_is_not_ready_is_a_warning(in_process_gateway):
    in_process_gateway.application.drain()
    finding = doctor_checks.check_address(load_settings(bind=f"127.0.0.1:{in_process_gateway.port}"))
    assert finding.level == "warn"


def test_a_gateway_at_a_unix_socket_is_fine_too(in_process_gateway, tmp_path):
    path = str(tmp_path / "gateway.sock")
    server = UnixServer(path, RequestHandler, bind_and_activate=True)
    server.application = in_process_gateway.application
    server.base_environ = in_process_gateway.server.base_environ
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        assert doctor_checks.check_address(load_settings(bind=f"unix:{path}")).level == "ok"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert "is free" in doctor_checks.check_address(load_settings(bind=f"unix:{path}")).found


def test_something_else_at_the_address_is_a_failure():
    with socket.create_server(("127.0.0.1", 0), backlog=1) as taken:
        taken.listen()
        settings = load_settings(bind=f"127.0.0.1:{taken.getsockname()[1]}")
        finding = doctor_checks.check_address(settings)
    assert finding.level == "fail"
    assert "in use" in finding.found
    assert "--bind" in finding.mend


def test_a_data_folder_that_is_a_file(tmp_path):
    (tmp_path / "data").write_text("")
    assert doctor_checks.check_data_dir(load_settings()).level == "fail"


def test_a_data_folder_without_room(tmp_path):
    finding = doctor_checks.check_data_dir(load_settings(history_bytes=1 << 40))
    assert finding.level == "fail"
    assert "HISTORY_BYTES" in finding.mend


def test_a_data_folder_with_a_history(in_process_gateway):
    finding = doctor_checks.check_data_dir(in_process_gateway.application.settings)
    assert finding.level == "ok"
    assert "history.pgs" in finding.found


def test_a_history_that_was_made_with_other_settings_is_a_failure():
    open_engine(load_settings(history_bytes=1 << 20, history_size=1000, max_channels=10)).close()
    settings = load_settings(history_bytes=1 << 20, history_size=500, max_channels=10)
    with pytest.raises(StorageError) as caught:
        open_engine(settings)
    finding = doctor_checks.check_data_dir(settings)
    assert (finding.level, finding.found) == ("fail", caught.value.message)


@pytest.mark.parametrize("spoil", ["version", "damage"])
def test_what_a_start_would_set_aside_is_said_and_left(spoil):
    settings = load_settings(history_bytes=1 << 20, max_channels=10)
    open_engine(settings).close()
    history = settings.data_dir / "history.pgs"
    if spoil == "version":
        set_version(history, 1)
    else:
        history.write_bytes(b"nothing of ours")
    before = {path: path.read_bytes() for path in settings.data_dir.iterdir()}
    finding = doctor_checks.check_data_dir(settings)
    assert finding.level == "warn"
    assert ("has format version 1" if spoil == "version" else "is damaged") in finding.found
    assert "A start sets it aside" in finding.found
    assert {path: path.read_bytes() for path in settings.data_dir.iterdir()} == before


def test_a_history_of_another_version_that_is_in_use_is_a_failure():
    settings = load_settings(history_bytes=1 << 20, max_channels=10)
    engine = open_engine(settings)
    set_version(settings.data_dir / "history.pgs", 1)
    finding = doctor_checks.check_data_dir(settings)
    engine.close()
    assert finding.level == "fail"
    assert "stop it first" in finding.found


def test_few_open_files_are_a_warning():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert doctor_checks.check_open_files().level == "warn"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("check", [doctor_checks.check_python, doctor_checks.check_core])
def test_python_and_core_are_fine_here(check):
    assert check().level == "ok"


def health_of_a_processor(status="200 OK", authorization=None):
    """Answers GET /health, with 401 where the credentials are not these."""

    def behave(peer, connection):
        head = connection.recv(1 << 16).decode()
        peer.got.append(head.split(" HTTP")[0])
        right = authorization is None or f"Authorization: {authorization}\r\n" in head
        connection.sendall(http_answer(b"{}", status if right else "401 Unauthorized"))

    return contextlib.closing(Peer(behave))


def test_no_processor_is_fine():
    assert doctor_checks.check_processor(load_settings()).level == "ok"


def test_a_processor_that_answers_is_fine():
    with health_of_a_processor(authorization="Basic bWU6c2VjcmV0") as peer:
        url = f"http://me:secret@127.0.0.1:{peer.port}/p"
        finding = doctor_checks.check_processor(load_settings(processor_url=url))
        assert peer.got == ["GET /p/health"]
    assert (finding.level, finding.found) == ("ok", f"answers at http://127.0.0.1:{peer.port}")


def test_a_processor_that_drains_is_a_failure():
    with health_of_a_processor("503 Service Unavailable") as peer:
        finding = doctor_checks.check_processor(load_settings(processor_url=peer.url))
    assert (finding.level, finding.found) == ("fail", f"{peer.url} answers /health with 503")


def test_a_processor_that_is_away_is_a_failure_that_shows_no_password():
    with health_of_a_processor() as peer:
        urls = f"{peer.url},http://me:hunter2@127.0.0.1:{free_port()}"
        finding = doctor_checks.check_processor(load_settings(processor_url=urls))
    assert finding.level == "fail"
    assert "refused" in finding.found
    assert "PROCESSOR_URL" in finding.mend
    assert "hunter2" not in str(finding)


def test_a_processor_with_one_way_of_two_is_a_warning():
    with health_of_a_processor() as peer:
        settings = load_settings(processor_url=peer.url, processor="grpc", processor_grpc_port=free_port())
        assert doctor_checks.check_processor(settings).level == "warn"
        settings = load_settings(processor_url=peer.url, processor="grpc", processor_grpc_port=peer.port)
        assert doctor_checks.check_processor(settings).level == "ok"
        there, away = peer.port, free_port()
        settings = load_settings(processor_url=f"http://127.0.0.1:{away}", processor="grpc", processor_grpc_port=there)
        assert doctor_checks.check_processor(settings).level == "warn"
        settings = load_settings(processor_url=f"http://127.0.0.1:{away}", processor="grpc", processor_grpc_port=away)
        assert doctor_checks.check_processor(settings).level == "fail"


def test_the_function_of_the_processor_has_to_be_there(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "function_for_doctor.py").write_text("def process(events): ...\n")
    finding = doctor_checks.check_processor(load_settings(processor_function="function_for_doctor:process"))
    assert (finding.level, finding.found) == ("ok", "function_for_doctor:process is called")
    finding = doctor_checks.check_processor(load_settings(processor_function="function_for_doctor:other"))
    assert finding.level == "fail"
    assert "no function other" in finding.found
