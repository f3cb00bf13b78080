from collections.abc import Callable
from typing import Any

import pytest

from polyglot_gateway import _core
from polyglot_gateway.errors import Forbidden
from polyglot_gateway.gateway.tokens import AuthorizeHook, AuthorizeRequest, Tokens
from polyglot_gateway.server.questions import Questions

QUESTION = {
    "kind": "join",
    "app": "demo",
    "channel": "room:1",
    "token": "",
    "api_key": "",
    "params": b"",
    "source_ip": "203.0.113.7",
    "headers": {},
}


class Answers:
    """In the server's place: keeps the answers."""

    def __init__(self) -> None:
        self.given: list[tuple[int, Any]] = []

    def decide(self, number: int, grant: _core.Grant | None) -> None:
        self.given.append((number, grant))

    def deny(self, number: int, code: str, message: str) -> None:
        assert code in _core.CODES
        self.given.append((number, (code, message)))


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Asks a question where that authorize hook decides; returns a grant, None, or (code, message) of a refusal."""

    def ask(hook: AuthorizeHook | None, **question: Any) -> Any:
        answers = Answers()
        Questions(answers, Tokens("5a" * 32, hook)).answer(7, {**QUESTION, **question})  # type: ignore[arg-type]
        ((number, answer),) = answers.given
        assert number == 7
        return answer

    return ask


@pytest.mark.parametrize(
    ("kind", "channel"), [("connect", ""), ("join", "room:1"), ("subscribe", "room:1"), ("history", "room:1")]
)
def test_the_hook_is_asked_with_all_that_is_known(ask: Callable[..., Any], kind: Any, channel: str) -> None:
    grant = _core.Grant("demo", "somebody")
    requests: list[AuthorizeRequest] = []

    def hook(request: AuthorizeRequest) -> _core.Grant:
        requests.append(request)
        return grant

    sent = {"params": b'{"a": 1}', "headers": {"cookie": "c"}, "token": "t", "api_key": "k"}
    assert ask(hook, kind=kind, channel=channel, **sent) is grant
    expected = {**sent, "params": {"a": 1}, "source_ip": "203.0.113.7"}
    assert requests == [AuthorizeRequest(kind, "demo", channel, **expected)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["subscribe", "history"])
def test_of_a_request_only_the_hook_decides_here(ask: Callable[..., Any], kind: str) -> None:
    """Key and token come later, as what is public needs neither."""
    assert ask(lambda _: None, kind=kind, token="a.b.c") is None
    assert ask(None, kind=kind, token="a.b.c") is None


@pytest.mark.parametrize("hooked", [True, False])
def test_the_key_decides_when_nobody_else_does(ask: Callable[..., Any], hooked: bool) -> None:
    assert ask((lambda _: None) if hooked else None) is None


@pytest.mark.parametrize("params", [b"", b"[1]", b"null"])
def test_params_that_are_no_object_are_none(ask: Callable[..., Any], params: bytes) -> None:
    seen: list[object] = []
    ask(lambda request: seen.append(request.params), params=params)
    assert seen == [{}]


def test_a_refusal_is_handed_on(ask: Callable[..., Any]) -> None:
    def hook(_: AuthorizeRequest) -> None:
        raise Forbidden("Members only.")

    assert ask(hook) == ("forbidden", "Members only.")


def test_a_hook_that_fails_refuses_and_keeps_its_reason(ask: Callable[..., Any], logged: list[Any]) -> None:
    def hook(_: AuthorizeRequest) -> None:
        raise ValueError("on purpose")

    code, message = ask(hook)
    assert code == "internal_error"
    assert "on purpose" not in message
    assert [(entry["event"], entry["app"], entry["channel"]) for entry in logged] == [
        ("the authorize hook failed", "demo", "room:1")
    ]


def test_a_token_alone_is_verified_without_the_hook(ask: Callable[..., Any]) -> None:
    def hook(_: AuthorizeRequest) -> None:
        raise AssertionError

    code, message = ask(hook, kind="verify", token="a.b.c")
    assert (code, message.startswith("The token is not valid")) == ("unauthorized", True)
