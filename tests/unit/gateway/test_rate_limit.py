import falcon

from polyglot_gateway.gateway.rate_limit import tell_rate_limit


def test_policy_and_state_are_told() -> None:
    resp = falcon.Response()
    tell_rate_limit(resp, ('"events";q=5;w=1', '"events";r=4;t=1'))
    assert resp.headers == {"ratelimit-policy": '"events";q=5;w=1', "ratelimit": '"events";r=4;t=1'}


def test_without_a_limit_nothing_is_told() -> None:
    resp = falcon.Response()
    tell_rate_limit(resp, None)
    assert resp.headers == {}
