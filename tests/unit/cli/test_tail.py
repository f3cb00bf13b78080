import contextlib
import signal
import subprocess
import sys

import pytest


@pytest.fixture
def tail(url):
    """Starts `polyglot tail` as a process of its own, because it never ends by itself."""
    started = []

    def start(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-c", "from polyglot_gateway.cli import main; main()", "tail", "demo", "room:1"]
        started.append(
            subprocess.Popen(
                [*command, "--url", url, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def publish(gateway, number: int) -> None:
    gateway.application.engine.publish("demo", "room:1", b'{"type":"message","data":{"n":%d}}' % number)


def test_prints_what_is_kept_and_then_what_comes_until_ctrl_c(tail, in_process_gateway):
    publish(in_process_gateway, 1)
    process = tail("--since", "0")
    line = process.stdout.readline()
    assert line.split()[0] == "1"
    assert '{"n": 1}' in line
    publish(in_process_gateway, 2)
    assert '{"n": 2}' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_resumes_after_an_interruption_without_a_miss(tail, in_process_gateway):
    publish(in_process_gateway, 1)
    process = tail("--since", "0")
    assert '{"n": 1}' in process.stdout.readline()
    in_process_gateway.stop()
    assert "connection lost" in process.stderr.readline()
    in_process_gateway.start()
    publish(in_process_gateway, 2)
    assert '{"n": 2}' in process.stdout.readline()


def test_says_a_gap(tail, in_process_gateway):
    publish(in_process_gateway, 1)
    process = tail("--since", "99")
    assert "beyond_end" in process.stderr.readline()


def test_ends_when_nobody_reads_it_any_more(tail, in_process_gateway):
    publish(in_process_gateway, 1)
    process = tail("--since", "0")
    assert process.stdout.readline()
    process.stdout.close()
    publish(in_process_gateway, 2)
    assert process.wait(10) != 0
    assert process.stderr.read() == ""


def test_a_refusal_or_no_gateway_ends_it(tail, in_process_gateway):
    process = tail("--key", "wrong", "--since", "-1")
    assert process.wait(10) == 1
    assert "HTTP 4" in process.stderr.read()
    in_process_gateway.stop()
    with contextlib.ExitStack() as stack:
        stack.callback(in_process_gateway.start)
        process = tail()
        assert process.wait(10) == 1
        assert "no gateway answers" in process.stderr.read()
