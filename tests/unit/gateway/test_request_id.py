import falcon
import pytest
from falcon import testing

from polyglot_gateway.gateway.request_id import request_id


def asked(given: str | None) -> falcon.Request:
    return testing.create_req(headers={} if given is None else {"X-Request-ID": given})


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128])
def test_a_fit_id_is_kept(given: str) -> None:
    assert request_id(asked(given)) == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\nb", "é", 'a"b', "a/b"])
def test_another_one_is_replaced(given: str | None) -> None:
    made = request_id(asked(given))
    assert len(made) == 32
    int(made, 16)


def test_a_request_keeps_its_id() -> None:
    req = asked(None)
    assert request_id(req) == request_id(req)
