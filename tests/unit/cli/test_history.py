import json

import pytest


@pytest.fixture
def engine(in_process_gateway):
    engine = in_process_gateway.application.engine
    for number in range(1, 6):
        engine.publish("demo", "room:1", b'{"type":"message","data":{"n":%d}}' % number)
    return engine


def offsets(result) -> list[int]:
    assert result.exit_code == 0, result.output
    return [event["offset"] for event in json.loads(result.stdout)["events"]]


def test_shows_a_line_for_each_event(polyglot, url, engine):
    result = polyglot("history", "demo", "room:1", "--url", url)
    assert result.exit_code == 0, result.output
    for number in range(1, 6):
        assert f'{{"n": {number}}}' in result.stdout
    assert engine.channel("demo", "room:1").epoch in result.stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1, 2, 3, 4, 5]),
        (["--limit", "2"], [4, 5]),
        (["--since", "2"], [3, 4, 5]),
        (["--since", "1", "--until", "3"], [2, 3]),
        (["--reverse", "--limit", "3"], [5, 4, 3]),
    ],
)
def test_options_choose_the_part(polyglot, url, engine, options, expected):
    assert offsets(polyglot("history", "demo", "room:1", "--url", url, "--json", *options)) == expected


def test_a_gap_is_said(polyglot, url, engine):
    result = polyglot("history", "demo", "room:1", "--url", url, "--since", "99")
    assert "gap" in result.stdout
    assert "beyond_end" in result.stdout


def test_what_a_channel_holds_cannot_colour_the_terminal(polyglot, url, engine):
    engine.publish("demo", "markup", b'{"type":"[red]","data":"[bold]x[/bold]"}')
    result = polyglot("history", "demo", "markup", "--url", url)
    assert "[bold]x[/bold]" in result.stdout
    assert "[red]" in result.stdout


def test_a_refusal_is_said_in_one_line(polyglot, url):
    result = polyglot("history", "demo", "room:1", "--url", url, "--limit", "0")
    assert result.exit_code == 1
    assert "invalid_parameter" in result.stderr
