import pytest
from falcon import Request, testing

from polyglot_gateway.gateway.trace_parent import trace_fields, traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = f"00-{TRACE}-00f067aa0ba902b7-01"


def request(**headers: str) -> Request:
    return Request(testing.create_environ(headers=headers))


@pytest.mark.parametrize("given", [GOOD, GOOD[:-2] + "00", "cc" + GOOD[2:], "cc" + GOOD[2:] + "-what-will-be"])
def test_the_trace_id_is_found(given: str) -> None:
    assert traceparent(request(traceparent=given).env) == given
    assert trace_fields(request(traceparent=given)) == {"trace_id": TRACE}


@pytest.mark.parametrize(
    "given",
    [
        "",
        GOOD[:-1],
        GOOD + "-",
        GOOD + "0",
        "ff" + GOOD[2:],
        "cc" + GOOD[2:] + ".what",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        GOOD.upper(),
        GOOD.replace("-", "_"),
        GOOD.replace("4bf9", "4bg9"),
        f"{GOOD},{GOOD}",
    ],
)
def test_what_is_malformed_is_ignored(given: str) -> None:
    assert traceparent(request(traceparent=given).env) == ""
    assert trace_fields(request(traceparent=given)) == {}


def test_without_the_field_there_is_none() -> None:
    assert traceparent(request().env) == ""
