from collections.abc import Callable
from typing import Any

import falcon
import pytest
from falcon import testing
from structlog.testing import capture_logs

from polyglot_gateway import _core, errors
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.gateway.create_app import WsgiApp

REQUEST_CODES = list(errors.RequestError.__subclasses__())
TEMPORARY_CODES = list(errors.TemporaryError.__subclasses__())


class Raises:
    """A resource of the user's own that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = "half a reply"
        raise self._error


@pytest.fixture
def answer(app: WsgiApp) -> Callable[[Exception], Any]:
    def get(error: Exception) -> Any:
        app.add_route("/raises", Raises(error))
        return testing.TestClient(app).simulate_get("/raises", headers={"X-Request-ID": "the-id"})

    return get


@pytest.mark.parametrize("kind", [*REQUEST_CODES, *TEMPORARY_CODES], ids=lambda kind: kind.code)
def test_every_error_is_the_cores_problem(
    answer: Callable[[Exception], Any], engine: EmbeddedEngine, kind: type[errors.GatewayError]
) -> None:
    info = _core.CODES[kind.code]
    before = engine.counters().get(f"refused.{kind.code}", 0)
    reply = answer(kind("What is wrong.", 17))
    assert reply.status_code == info.http_status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.content == _core.problem_json(kind.code, "What is wrong.", 17, "the-id")
    assert reply.json["code"] == kind.code
    assert reply.json["error"] == "What is wrong."
    assert reply.headers.get("retry-after") == (str(info.retry_after) if info.retry_after else None)
    assert engine.counters()[f"refused.{kind.code}"] == before + 1


@pytest.mark.parametrize("kind", TEMPORARY_CODES, ids=lambda kind: kind.code)
def test_what_is_worth_sending_again_says_when(
    answer: Callable[[Exception], Any], kind: type[errors.GatewayError]
) -> None:
    reply = answer(kind("Later."))
    assert reply.status_code in (429, 503)
    assert int(reply.headers["retry-after"]) > 0


def test_an_error_may_say_by_itself_when_to_come_again(answer: Callable[[Exception], Any]) -> None:
    error = errors.RateLimited("Later.")
    error.retry_after = 42
    assert answer(error).headers["retry-after"] == "42"


@pytest.mark.parametrize(
    "error", [RuntimeError("the secret"), errors.InternalError("the secret"), errors.StorageFull("the secret")]
)
def test_an_unexpected_error_is_logged_with_the_id_and_tells_nothing(
    answer: Callable[[Exception], Any], error: Exception
) -> None:
    with capture_logs() as logs:
        reply = answer(error)
    assert reply.status_code == 500
    assert reply.json["code"] == "internal_error"
    assert "secret" not in reply.text
    assert "half a reply" not in reply.text
    assert [(log["log_level"], log["request_id"], log["exc_info"]) for log in logs] == [("error", "the-id", error)]


def test_nothing_at_the_path(client: testing.TestClient) -> None:
    for path in ("/", "/apps", "/apps/demo", "/alive/", "/nowhere"):
        reply = client.simulate_get(path)
        assert (reply.status_code, reply.json["code"]) == (404, "not_found")
        assert path in reply.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/apps/demo/channels/room/publish", {"POST", "OPTIONS"}),
        ("POST", "/apps/demo/channels/room/history", {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("DELETE", "/apps/demo/channels/room/events", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/apps/demo/channels/room", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", "/apps/demo/publish", {"POST", "OPTIONS"}),
        ("POST", "/alive", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_method_that_is_not_allowed(client: testing.TestClient, method: str, path: str, allowed: set[str]) -> None:
    reply = client.simulate_request(method, path)
    assert (reply.status_code, reply.json["code"]) == (405, "method_not_allowed")
    assert set(reply.headers["allow"].split(", ")) == allowed
    assert method in reply.json["error"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (falcon.HTTPForbidden(description="Not you."), "forbidden"),
        (falcon.HTTPUnsupportedMediaType(description="Not this."), "unsupported_media_type"),
        (falcon.HTTPServiceUnavailable(description="Not now."), "overloaded"),
        (falcon.HTTPInvalidParam("Not so.", "n"), "invalid_parameter"),
        (falcon.HTTPError(408), "request_timeout"),
        (falcon.HTTPUriTooLong(title="Too long"), "uri_too_long"),
        (falcon.HTTPRequestHeaderFieldsTooLarge(title="Too large"), "headers_too_large"),
    ],
)
def test_falcons_own_errors_get_our_codes(
    answer: Callable[[Exception], Any], error: falcon.HTTPError, code: str
) -> None:
    reply = answer(error)
    assert reply.status_code == error.status_code
    assert reply.json["code"] == code


def test_a_status_without_a_code_is_left_as_the_users_resource_gave_it(answer: Callable[[Exception], Any]) -> None:
    reply = answer(falcon.HTTPConflict(title="Taken"))
    assert (reply.status_code, reply.json) == (409, {"title": "Taken"})


def test_a_closed_engine_is_answered_as_unavailable(client: testing.TestClient, engine: EmbeddedEngine) -> None:
    engine.close()
    for reply in (
        client.simulate_get("/apps/demo/channels/room/history"),
        client.simulate_post("/apps/demo/channels/room/publish", json={"type": "t", "data": 1}),
    ):
        assert (reply.status_code, reply.json["code"]) == (503, "engine_unavailable")
        assert reply.headers["retry-after"] == "1"
