import re
from collections.abc import Callable

import pytest
from falcon import testing

from polyglot_gateway.gateway.create_app import WsgiApp


@pytest.fixture
def visitor(make_app: Callable[..., WsgiApp]) -> testing.TestClient:
    """A client without a key, of a gateway that has the page."""
    return testing.TestClient(make_app(console=True))


def script_of(page: testing.Result) -> str:
    return re.findall(r'src="(console/[0-9a-f]{16}/main\.js)"', page.text)[0]


def test_there_is_no_page_unless_it_is_asked_for(stranger: testing.TestClient) -> None:
    assert stranger.simulate_get("/console").status_code == 404


def test_the_page_needs_no_key(visitor: testing.TestClient) -> None:
    page = visitor.simulate_get("/console")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")


def test_nothing_but_its_own_files_may_run_in_the_page(visitor: testing.TestClient) -> None:
    headers = visitor.simulate_get("/console").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_who_has_the_page_is_told_so(visitor: testing.TestClient) -> None:
    page = visitor.simulate_get("/console")
    assert page.headers["cache-control"] == "no-cache"
    again = visitor.simulate_get("/console", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == page.headers["etag"]
    assert again.headers["content-security-policy"] == page.headers["content-security-policy"]
    assert visitor.simulate_get("/console", headers={"If-None-Match": '"other"'}).status_code == 200


def test_what_the_page_is_made_of_may_be_kept_for_ever(visitor: testing.TestClient) -> None:
    script = visitor.simulate_get("/" + script_of(visitor.simulate_get("/console")))
    assert script.status_code == 200
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/console/0123456789abcdef/main.js", "/console/main.js", "/console/"])
def test_other_files_are_not_there(visitor: testing.TestClient, path: str) -> None:
    reply = visitor.simulate_get(path)
    assert (reply.status_code, reply.json["code"]) == (404, "not_found")
    assert "immutable" not in reply.headers.get("cache-control", "")


def test_head_answers_as_get_without_a_body(visitor: testing.TestClient) -> None:
    page = visitor.simulate_get("/console")
    for path in ("/console", "/" + script_of(page)):
        get, head = visitor.simulate_get(path), visitor.simulate_head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert {**head.headers, "x-request-id": ""} == {**get.headers, "x-request-id": ""}
