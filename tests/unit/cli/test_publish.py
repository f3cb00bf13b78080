import http.server
import json
import threading

import pytest


def test_prints_where_the_event_went(polyglot, url):
    result = polyglot("publish", "demo", "room:1", '{"text": "Hello"}', "--url", url)
    assert result.exit_code == 0, result.output
    id_, offset, epoch = result.stdout.split()[0:5:2]
    assert id_.startswith("evt_")
    assert (offset, len(epoch)) == ("1", 16)


def test_data_is_kept_byte_for_byte_from_the_argument_or_stdin(polyglot, url, in_process_gateway):
    data = '{"n":  1.50, "t":"\\u00e9ü"}'
    assert polyglot("publish", "demo", "room:1", data, "--url", url, "--type", "text").exit_code == 0
    assert polyglot("publish", "demo", "room:1", "--url", url, stdin=data).exit_code == 0
    assert polyglot("publish", "demo", "room:1", "-", "--url", url, stdin=data).exit_code == 0
    kept = in_process_gateway.application.engine.history("demo", "room:1").decode()
    assert kept.count(f'"data":{data}') == 3
    assert kept.count('"type":"text"') == 1


def test_help_says_how_to_send_a_negative_number(polyglot, url, in_process_gateway):
    assert "-- -1" in polyglot("publish", "--help").stdout
    assert polyglot("publish", "--url", url, "demo", "room:1", "--", "-1").exit_code == 0
    assert b'"data":-1' in in_process_gateway.application.engine.history("demo", "room:1")


def test_json_prints_the_answer_as_it_came(polyglot, url):
    result = polyglot("publish", "demo", "room:1", "1", "--url", url, "--json")
    assert set(json.loads(result.stdout)) == {"id", "timestamp", "offset", "epoch"}


def test_an_idempotency_key_gives_the_first_answer_again(polyglot, url):
    lines = {polyglot("publish", "demo", "r", "1", "--url", url, "--idempotency-key", "k").stdout for _ in range(2)}
    assert len(lines) == 1


def test_names_are_escaped(polyglot, url):
    assert polyglot("publish", "demo", "a/b:~c", "1", "--url", url).exit_code == 0
    result = polyglot("publish", "demo", "no good?", "1", "--url", url)
    assert result.exit_code == 1
    assert "invalid_channel" in result.stderr


@pytest.mark.parametrize("data", ["hello", "", "{", '1,"type":"other"'])
def test_data_that_is_not_json_is_refused_here(polyglot, data):
    result = polyglot("publish", "demo", "room:1", data)
    assert result.exit_code == 1
    assert "not JSON" in result.stderr


def test_a_wrong_key_is_said_in_one_line(polyglot, url):
    result = polyglot("publish", "demo", "room:1", "1", "--url", url, "--key", "wrong")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "unauthorized" in result.stderr


def test_key_and_url_come_from_the_environment(polyglot, url, monkeypatch):
    monkeypatch.setenv("POLYGLOT_URL", url)
    assert polyglot("publish", "demo", "room:1", "1").exit_code == 0
    monkeypatch.setenv("POLYGLOT_KEY", "wrong")
    assert "unauthorized" in polyglot("publish", "demo", "room:1", "1").stderr


def test_no_gateway_is_said_in_one_line(polyglot, in_process_gateway, url):
    in_process_gateway.stop()
    try:
        result = polyglot("publish", "demo", "room:1", "1", "--url", url)
    finally:
        in_process_gateway.start()
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert url in result.stderr
    assert "Connection refused" in result.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        "localhost:4000",
        "ftp://localhost",
        "http://",
        "http://[::1",
        "http://localhost:x",
        "http://localhost:70000",
        "http://localhost/a b",
    ],
)
def test_a_wrong_url_is_said(polyglot, wrong):
    result = polyglot("publish", "demo", "room:1", "1", "--url", wrong)
    assert result.exit_code == 1
    assert wrong in result.stderr


@pytest.mark.parametrize(("option", "header"), [("--key", "X-API-Key"), ("--idempotency-key", "Idempotency-Key")])
@pytest.mark.parametrize("value", ["s3cret€", "s3cret\nb", "s3cret\x7f"])
def test_what_no_header_can_hold_is_said_without_repeating_it(polyglot, url, option, header, value):
    result = polyglot("publish", "demo", "room:1", "1", "--url", url, option, value)
    assert result.exit_code == 1
    assert header in result.stderr
    assert "s3cret" not in result.stderr


def test_a_channel_that_is_not_utf_8_is_refused_by_the_gateway(polyglot, url):
    result = polyglot("publish", "demo", "room:\udcff", "1", "--url", url)
    assert result.exit_code == 1
    assert "HTTP 4" in result.stderr


def test_something_else_that_answers_is_said(polyglot):
    result = publish_to(polyglot, 200, b"<html>")
    assert result.exit_code == 1
    assert "not from a Polyglot Gateway" in result.stderr


def test_an_event_that_waits_has_no_place_yet(polyglot):
    answer = b'{"id":"evt_1","timestamp":"2026-01-01T00:00:00.000000Z","spooled":true}'
    result = publish_to(polyglot, 202, answer)
    assert (result.exit_code, result.stdout) == (0, "evt_1 spooled\n")


def publish_to(polyglot, status, answer):
    """The command's result when this is what it is answered."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        result = polyglot("publish", "demo", "r", "1", "--url", f"http://127.0.0.1:{server.server_port}")
        thread.join()
    return result
