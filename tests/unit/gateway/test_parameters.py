import pytest
from falcon import testing

from polyglot_gateway.errors import InvalidParameter
from polyglot_gateway.gateway import parameters

EPOCH = "0123456789abcdef"


@pytest.mark.parametrize(
    ("query", "found"), [("", None), ("n=1", 1), ("n=1000", 1000), ("n=007", 7), ("other=x", None)]
)
def test_whole_numbers(query: str, found: int | None) -> None:
    assert parameters.whole(testing.create_req(query_string=query), "n", 1, 1000) == found


@pytest.mark.parametrize("value", ["0", "1001", "-1", "1.5", "1e2", "", "%2B1", "%D9%A3", "9" * 400, "NaN", "1_000"])
def test_what_is_not_such_a_number_is_refused_by_name_value_and_what_is_allowed(value: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^n is .*; allowed are whole numbers from 1 to 1000\.$"):
        parameters.whole(testing.create_req(query_string=f"n={value}"), "n", 1, 1000)


def test_an_offset_has_64_bits() -> None:
    req = testing.create_req(query_string=f"a={2**63 - 1}&b={2**63}")
    assert parameters.whole(req, "a", 0, parameters.MAX_OFFSET) == 2**63 - 1
    with pytest.raises(InvalidParameter):
        parameters.whole(req, "b", 0, parameters.MAX_OFFSET)


def test_a_parameter_given_twice_is_refused() -> None:
    req = testing.create_req(query_string="n=1&n=1&b=true&b=true")
    for read in (lambda: parameters.whole(req, "n", 1, 9), lambda: parameters.boolean(req, "b")):
        with pytest.raises(InvalidParameter, match="2 times"):
            read()


@pytest.mark.parametrize(
    ("query", "found"), [("", []), ("t=", [""]), ("t=/a,b", ["/a,b"]), ("t=2&other=x&t=1&t=2", ["2", "1", "2"])]
)
def test_texts_keep_their_order(query: str, found: list[str]) -> None:
    assert parameters.texts(testing.create_req(query_string=query), "t") == found


@pytest.mark.parametrize(
    ("query", "found"), [("", False), ("b=true", True), ("b=1", True), ("b=false", False), ("b=0", False)]
)
def test_booleans(query: str, found: bool) -> None:
    assert parameters.boolean(testing.create_req(query_string=query), "b") is found


@pytest.mark.parametrize("value", ["", "yes", "TRUE", "2"])
def test_other_booleans_are_refused(value: str) -> None:
    with pytest.raises(InvalidParameter, match="true, 1, false, 0"):
        parameters.boolean(testing.create_req(query_string=f"b={value}"), "b")


def test_epochs() -> None:
    assert parameters.epoch(testing.create_req(query_string=f"epoch={EPOCH}")) == EPOCH
    assert parameters.epoch(testing.create_req()) == ""
    for value in ("", "12", EPOCH + "0", "g" * 16):
        with pytest.raises(InvalidParameter, match="16 hex digits"):
            parameters.epoch(testing.create_req(query_string=f"epoch={value}"))


def test_positions() -> None:
    assert parameters.position("p", f"{EPOCH}:7", epoch_needed=True) == (EPOCH, 7)
    assert parameters.position("p", f"{EPOCH}:7", epoch_needed=False) == (EPOCH, 7)
    assert parameters.position("p", "7", epoch_needed=False) == ("", 7)


@pytest.mark.parametrize(
    "value", ["", ":", ":7", "7:", f"{EPOCH}:", f"{EPOCH}:-1", f"{EPOCH}:x", "xyz:7", f"{EPOCH}:7:7"]
)
@pytest.mark.parametrize("epoch_needed", [True, False])
def test_malformed_positions_are_refused(value: str, epoch_needed: bool) -> None:
    with pytest.raises(InvalidParameter, match="<epoch>:<offset>"):
        parameters.position("Last-Event-ID", value, epoch_needed=epoch_needed)


def test_a_bare_offset_is_no_position_where_the_epoch_is_needed() -> None:
    with pytest.raises(InvalidParameter):
        parameters.position("Last-Event-ID", "7", epoch_needed=True)
