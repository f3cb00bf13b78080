import json

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


@pytest.mark.parametrize("wrong", ["localhost:4000", "ftp://localhost", "http://"])
def test_a_wrong_url_is_said(polyglot, wrong):
    result = polyglot("publish", "demo", "room:1", "1", "--url", wrong)
    assert result.exit_code == 1
    assert wrong in result.stderr
