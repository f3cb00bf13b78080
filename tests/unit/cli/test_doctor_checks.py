import resource
import socket
import socketserver
import threading
import wsgiref.simple_server

import pytest

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
