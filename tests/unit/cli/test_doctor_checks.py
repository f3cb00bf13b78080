import resource
import socket

import pytest

from polyglot_gateway.cli import doctor_checks
from polyglot_gateway.settings import load_settings


def test_a_running_gateway_at_the_address_is_fine(in_process_gateway):
    finding = doctor_checks.check_address(load_settings(bind=f"127.0.0.1:{in_process_gateway.port}"))
    assert finding.level == "ok"
    assert "answers" in finding.found


def test_a_gateway_that_is_not_ready_is_a_warning(in_process_gateway):
    in_process_gateway.application.drain()
    finding = doctor_checks.check_address(load_settings(bind=f"127.0.0.1:{in_process_gateway.port}"))
    assert finding.level == "warn"


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
    finding = doctor_checks.check_data_dir(load_settings())
    assert finding.level == "ok"
    assert "history.pgs" in finding.found


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
