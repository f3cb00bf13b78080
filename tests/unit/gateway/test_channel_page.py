import pytest
from falcon import testing

from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import InvalidParameter
from polyglot_gateway.gateway.channel_page import channel_page

NAMES = ["a", "b", "c/d", "e@f", "g"]


@pytest.fixture
def filled(engine: EmbeddedEngine) -> EmbeddedEngine:
    for name in NAMES:
        engine.publish("demo", name, b'{"type":"t","data":1}')
    return engine


def page(engine: EmbeddedEngine, query: str) -> tuple[list[str], str | None]:
    infos, cursor = channel_page(testing.create_req(query_string=query), engine, "demo", most=4, default=3)
    return [info.channel for info in infos], cursor


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_follow_each_other_to_the_last(filled: EmbeddedEngine, limit: int) -> None:
    seen, cursor = page(filled, f"limit={limit}")
    while cursor is not None:
        names, cursor = page(filled, f"limit={limit}&cursor={cursor}")
        assert 0 < len(names) <= limit
        seen += names
    assert seen == NAMES


def test_the_limit_has_a_default_and_a_bound(filled: EmbeddedEngine) -> None:
    assert page(filled, "")[0] == NAMES[:3]
    with pytest.raises(InvalidParameter, match="from 1 to 4"):
        page(filled, "limit=5")


def test_a_cursor_of_ones_own_making_is_refused(filled: EmbeddedEngine) -> None:
    with pytest.raises(InvalidParameter, match="cursor"):
        page(filled, "cursor=x")
