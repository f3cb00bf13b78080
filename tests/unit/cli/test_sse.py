from polyglot_gateway.cli.sse import ServerSentEvent, parse_events


def parsed(text: str) -> list[ServerSentEvent]:
    return list(parse_events(text.encode().splitlines(keepends=True)))


def test_an_event_with_all_fields():
    assert parsed("event: gap\nid: e:4\ndata: {}\n\n") == [ServerSentEvent("gap", "{}", "e:4")]


def test_lines_of_data_are_joined_and_only_one_space_is_dropped():
    assert parsed("data: a\ndata:  b\ndata\n\n") == [ServerSentEvent("message", "a\n b\n", "")]


def test_the_last_id_stays_and_a_type_does_not():
    first, second = parsed("event: x\nid: 7\ndata: 1\n\ndata: 2\n\n")
    assert first == ServerSentEvent("x", "1", "7")
    assert second == ServerSentEvent("message", "2", "7")


def test_a_block_without_data_still_moves_the_position():
    assert parsed("retry: 2000\nid: e:0\n\n") == [ServerSentEvent("message", "", "e:0")]


def test_comments_unknown_fields_and_ids_with_nul_are_skipped():
    assert parsed(": hello\nother: 1\nid: a\0b\ndata: 1\n\n") == [ServerSentEvent("message", "1", "")]


def test_carriage_returns_end_lines_too():
    assert parsed("data: 1\r\n\r\n") == [ServerSentEvent("message", "1", "")]


def test_an_event_that_is_cut_off_is_dropped():
    assert parsed("data: 1\n") == []
