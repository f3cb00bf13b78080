import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from polyglot_gateway._core import Grant
from polyglot_gateway.errors import Forbidden, InternalError, TokenExpired, Unauthorized
from polyglot_gateway.gateway.tokens import AuthorizeRequest, Tokens, looks_like_token

CONNECT = AuthorizeRequest("connect", "demo")
JOIN = AuthorizeRequest("join", "demo", "room:1")


@pytest.fixture
def tokens(secret: str) -> Tokens:
    return Tokens(secret)


OBJECTS = '{"a":'


def encoded(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def test_a_token_becomes_a_grant(tokens: Tokens, make_token: Callable[..., str]) -> None:
    end = int(time.time()) + 60
    grant = tokens.verify(make_token(exp=end, can={"room:*": ["history"], "room:1": ["publish"]}))
    assert (grant.app, grant.user_id, grant.expires_at) == ("demo", "alice", end)
    grant.check("demo", "room:1", "history")
    grant.check("demo", "room:1", "publish")
    for app, channel, scope in (("demo", "room:2", "publish"), ("demo", "", "history"), ("other", "room:1", "publish")):
        with pytest.raises(Forbidden):
            grant.check(app, channel, scope)
    with pytest.raises(TokenExpired):
        grant.check("demo", "room:1", "history", now=end)


def test_whom_it_is_for_need_not_be_said(tokens: Tokens, make_token: Callable[..., str]) -> None:
    assert tokens.verify(make_token(sub=...)).user_id == ""
    assert tokens.verify(make_token(can={})).user_id == "alice"


def test_claims_that_are_not_ours_are_ignored(tokens: Tokens, make_token: Callable[..., str]) -> None:
    now = int(time.time())
    assert tokens.verify(make_token(iat=now + 30, nbf=now - 1, iss="them", jti="1", name="Alice")).app == "demo"


WRONG_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"exp": ...}, "exp"),
    ({"exp": None}, "exp"),
    ({"exp": "tomorrow"}, "exp"),
    ({"exp": "9999999999"}, "claim exp"),
    ({"exp": []}, "The token is not valid"),
    ({"exp": {}}, "The token is not valid"),
    ({"exp": 1e300}, "claim exp"),
    ({"exp": float("inf")}, "The token is not valid"),
    ({"exp": float("nan")}, "The token is not valid"),
    ({"nbf": 9999999999}, "not yet valid"),
    ({"nbf": []}, "The token is not valid"),
    ({"aud": "somebody else"}, "udience"),
    ({"app": ...}, "claim app"),
    ({"app": None}, "claim app"),
    ({"app": ["demo"]}, "claim app"),
    ({"app": "\ud800"}, "claim app"),
    ({"sub": "\ud800"}, "claim sub"),
    ({"can": ...}, "claim can"),
    ({"can": None}, "claim can"),
    ({"can": ["publish"]}, "claim can"),
    ({"can": {"room:*": "publish"}}, "claim can.room:*"),
    ({"can": {"room:*": [1]}}, "claim can.room:*.0"),
    ({"can": {"room:*": ["read"]}}, '"read" is not known'),
    ({"can": {"": ["publish"]}}, "pattern is empty"),
    ({"can": {"a b": ["publish"]}}, "pattern has ' '"),
    ({"can": {"\ud800": ["publish"]}}, "claim can"),
    ({"can": {"room:*": ["\ud800"]}}, "claim can"),
]


@pytest.mark.parametrize(("claims", "said"), WRONG_CLAIMS, ids=ascii)
def test_a_malformed_claim_is_named(
    tokens: Tokens, make_token: Callable[..., str], claims: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unauthorized) as caught:
        tokens.verify(make_token(**claims))
    assert said in caught.value.message
    assert caught.value.message.startswith("The token")
    assert caught.value.message.endswith(".")
    assert not caught.value.message.endswith("..")


def test_a_subject_that_is_no_text_is_refused(tokens: Tokens, secret: str) -> None:
    claims = {"app": "demo", "exp": int(time.time()) + 60, "can": {}, "sub": 7}
    signed = jwt.api_jws.encode(json.dumps(claims).encode(), secret, "HS256")  # PyJWT's own encode refuses it
    with pytest.raises(Unauthorized, match=r"^The token"):
        tokens.verify(signed)


@pytest.mark.parametrize("payload", ["[]", "1", '"text"', "nonsense", "", "{" * 5000, '{"a":' * 5000])
def test_a_payload_that_is_no_object_is_refused(tokens: Tokens, secret: str, payload: str) -> None:
    with pytest.raises(Unauthorized, match=r"^The token is not valid: "):
        tokens.verify(jwt.api_jws.encode(payload.encode(), secret, "HS256"))


def test_only_hs256_counts(tokens: Tokens, make_token: Callable[..., str]) -> None:
    claims = encoded({"app": "demo", "exp": int(time.time()) + 60, "can": {}})
    for other in ("HS384", "HS512"):
        with pytest.raises(Unauthorized, match="alg"):
            tokens.verify(make_token(algorithm=other))
    for header in ({"typ": "JWT"}, *({"alg": alg} for alg in ("none", "None", "RS256", None, ["HS256"], {}))):
        for signature in ("", encoded("x")):
            with pytest.raises(Unauthorized, match=r"^The token is not valid: "):
                tokens.verify(f"{encoded(header)}.{claims}.{signature}")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "abc",
        "a.b.c.d",
        "ü.ü.ü",
        "\ud800.a.b",
        "\x00..",
        f"{encoded('[' * 6000)}.e30.x",
        f"{encoded(OBJECTS * 6000)}.e30.x",
        "." * 9000,
    ],
    ids=lambda token: ascii(token[:8]),
)
def test_what_is_no_token_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(Unauthorized, match=r"^The token is not valid: "):
        tokens.verify(token)


def test_a_token_that_another_signed_is_refused(tokens: Tokens, make_token: Callable[..., str]) -> None:
    good = make_token()
    head, payload, signature = good.split(".")
    other = encoded({"app": "other", "exp": int(time.time()) + 60, "can": {"*": ["publish"]}})
    assert tokens.verify(good)
    for wrong in (make_token(secret="x" * 32), f"{head}.{other}.{signature}", f"{head}.{payload}."):
        with pytest.raises(Unauthorized, match="ignature"):
            tokens.verify(wrong)


def test_an_expired_token_is_said_to_be_that(tokens: Tokens, make_token: Callable[..., str]) -> None:
    for exp in (int(time.time()) - 1, 0, -1):
        with pytest.raises(TokenExpired):
            tokens.verify(make_token(exp=exp))


def test_a_token_that_was_seen_before_expires_like_any_other(
    tokens: Tokens, make_token: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = int(time.time()) + 60
    token = make_token(exp=end)
    assert tokens.verify(token).expires_at == end
    monkeypatch.setattr(time, "time", lambda: end - 0.5)
    assert tokens.verify(token).expires_at == end
    monkeypatch.setattr(time, "time", lambda: float(end))
    with pytest.raises(TokenExpired):
        tokens.verify(token)


def test_leeway_lets_a_token_hold_longer(secret: str, make_token: Callable[..., str]) -> None:
    now = int(time.time())
    lenient = Tokens(secret, leeway=60)
    grant = lenient.verify(make_token(exp=now - 10))
    grant.check("demo", "room:1", "publish")
    assert grant.expires_at == now + 50
    with pytest.raises(TokenExpired):
        lenient.verify(make_token(exp=now - 61))


def test_the_issuer_has_to_be_the_one_that_is_wanted(secret: str, make_token: Callable[..., str]) -> None:
    tokens = Tokens(secret, issuer="https://id.example")
    assert tokens.verify(make_token(iss="https://id.example"))
    for iss in ("https://id.example/", "https://other.example", "", ["https://id.example"], None, ...):
        with pytest.raises(Unauthorized, match=r"ssuer|iss"):
            tokens.verify(make_token_raw(secret, iss=iss))


def test_the_audience_has_to_be_the_one_that_is_wanted(secret: str, make_token: Callable[..., str]) -> None:
    tokens = Tokens(secret, audience="gateway")
    assert tokens.verify(make_token(aud="gateway"))
    assert tokens.verify(make_token(aud=["other", "gateway"]))
    for aud in ("other", "gateway2", "", [], ["other"], None, ..., {"gateway": 1}):
        with pytest.raises(Unauthorized, match=r"udience|aud|claim format"):
            tokens.verify(make_token(aud=aud))


def make_token_raw(secret: str, **claims: Any) -> str:
    """As make_token, with claims that PyJWT would not write."""
    payload = {"app": "demo", "exp": int(time.time()) + 60, "can": {}, **claims}
    text = json.dumps({name: value for name, value in payload.items() if value is not ...})
    return jwt.api_jws.encode(text.encode(), secret, "HS256")


def test_the_hook_can_be_asked_alone(secret: str, make_token: Callable[..., str]) -> None:
    own = Grant("demo", "hooked")
    request = AuthorizeRequest("publish", "demo", "room:1", token=make_token())
    assert Tokens(secret, lambda _: own).ask(request) is own
    assert Tokens(secret, lambda _: None).ask(request) is None
    assert Tokens(secret).ask(request) is None
    assert Tokens(secret, lambda _: None).asks
    assert not Tokens(secret).asks
    hook: Any = lambda _: True  # noqa: E731
    with pytest.raises(InternalError, match="bool"):
        Tokens(secret, hook).ask(request)


def test_without_a_secret_no_token_is_taken(make_token: Callable[..., str]) -> None:
    for token in (make_token(), "abc"):
        with pytest.raises(Unauthorized) as caught:
            Tokens("").verify(token)
        assert caught.value.message == "Bearer tokens are not accepted; neither JWT_SECRET nor JWT_JWKS is set."


def test_a_token_has_two_dots() -> None:
    assert looks_like_token("a.b.c")
    assert not any(map(looks_like_token, ("", "a", "a.b", "a.b.c.d", "pg_key", "valid_key_demo")))


@pytest.fixture(params=["connect", "join"])
def decide(request: pytest.FixtureRequest) -> Callable[..., Grant | None]:
    """Asks `tokens` with a token or an API key, at connect or at join."""
    asked = CONNECT if request.param == "connect" else JOIN

    def ask(tokens: Tokens, token: str = "", api_key: str = "") -> Grant | None:
        made = AuthorizeRequest(asked.kind, asked.app, asked.channel, token=token, api_key=api_key)
        return getattr(tokens, asked.kind)(made)

    return ask


def test_a_socket_with_a_token_gets_its_grant(
    tokens: Tokens, decide: Callable[..., Grant | None], make_token: Callable[..., str]
) -> None:
    granted = decide(tokens, make_token())
    assert granted is not None
    assert granted.user_id == "alice"


@pytest.mark.parametrize("token", ["", "pg_key", "valid_key_demo"])
def test_a_socket_without_a_token_is_left_to_its_key(
    tokens: Tokens, decide: Callable[..., Grant | None], token: str
) -> None:
    assert decide(tokens, token, api_key="full-key") is None


def test_a_socket_with_a_wrong_token_is_refused(
    tokens: Tokens, decide: Callable[..., Grant | None], make_token: Callable[..., str]
) -> None:
    with pytest.raises(Unauthorized):
        decide(tokens, "a.b.c")
    with pytest.raises(TokenExpired):
        decide(tokens, make_token(exp=1))
    with pytest.raises(Forbidden, match="another app"):
        decide(tokens, make_token(app="other"))
    with pytest.raises(Unauthorized, match="JWT_SECRET"):
        decide(Tokens(""), make_token())


def test_the_hook_is_asked_first_and_once(
    secret: str, decide: Callable[..., Grant | None], make_token: Callable[..., str]
) -> None:
    asked: list[AuthorizeRequest] = []
    own = Grant("demo", "hooked")

    def hook(request: AuthorizeRequest) -> Grant | None:
        asked.append(request)
        return own

    assert decide(Tokens(secret, hook), "a.b.c", api_key="k") is own
    (request,) = asked
    assert (request.app, request.token, request.api_key) == ("demo", "a.b.c", "k")
    assert (request.kind, request.channel) in (("connect", ""), ("join", "room:1"))


def test_a_hook_that_gives_none_leaves_the_decision(
    secret: str, decide: Callable[..., Grant | None], make_token: Callable[..., str]
) -> None:
    tokens = Tokens(secret, lambda _: None)
    granted = decide(tokens, make_token())
    assert granted is not None
    assert granted.user_id == "alice"
    assert decide(tokens, "") is None
    with pytest.raises(Unauthorized):
        decide(tokens, "a.b.c")


def test_a_hook_refuses_by_raising(
    secret: str, decide: Callable[..., Grant | None], make_token: Callable[..., str]
) -> None:
    def hook(_: AuthorizeRequest) -> Grant | None:
        raise Forbidden("Only from inside.")

    with pytest.raises(Forbidden, match=r"Only from inside\."):
        decide(Tokens(secret, hook), make_token())


def test_a_hook_that_gives_anything_else_is_a_defect(secret: str, decide: Callable[..., Grant | None]) -> None:
    hook: Any = lambda _: True  # noqa: E731
    with pytest.raises(InternalError, match="bool"):
        decide(Tokens(secret, hook))


def test_what_a_hook_is_asked_shows_no_credential() -> None:
    request = AuthorizeRequest(
        "connect", "demo", token="t0ken", api_key="k3y", params={"token": "t0ken"}, headers={"x-api-key": "k3y"}
    )
    assert "demo" in repr(request)
    assert not any(credential in f"{request} {request!r}" for credential in ("t0ken", "k3y"))
    with pytest.raises(AttributeError):
        request.app = "other"  # type: ignore[misc]
