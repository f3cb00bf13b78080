import hashlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import structlog
from falcon import testing

from polyglot_gateway.app import Application, create_app
from polyglot_gateway.errors import SettingsError
from polyglot_gateway.gateway.tokens import AuthorizeRequest
from polyglot_gateway.settings import Settings, load_settings

PUBLISH = "/apps/demo-app/channels/room:test/publish"
EVENT = {"type": "message", "data": {"text": "Hello"}}
SMALL = {"history_bytes": 1 << 20, "max_channels": 100, "idempotency_keys": 100}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Application]]:
    monkeypatch.chdir(tmp_path)
    for name in ["mix_env", *Settings.model_fields]:
        monkeypatch.delenv(name.upper(), raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    made: list[Application] = []

    def create(toml: str = "", **overrides: Any) -> Application:
        Path("polyglot.toml").write_text(toml)
        made.append(create_app(load_settings(**SMALL, **overrides)))
        return made[-1]

    yield create
    for application in made:
        application.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def app_with_key(key: str, rules: str = "") -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()
    scopes = '["publish", "history", "subscribe", "admin"]'
    return f'[apps.demo-app]\nkeys = [{{ sha256 = "{digest}", scopes = {scopes} }}]\n{rules}\n'


def status(application: Application, key: str) -> int:
    client = testing.TestClient(application)
    return client.simulate_post(PUBLISH, json=EVENT, headers={"X-API-Key": key}).status_code


def test_in_development_a_newcomer_publishes_and_reads(make: Callable[..., Application]) -> None:
    client = testing.TestClient(make())
    assert client.simulate_get("/health").json["status"] == "ok"
    sent = client.simulate_post(PUBLISH, json=EVENT, headers={"X-API-Key": "valid_key_demo-app"})
    assert sent.status_code == 200
    read = client.simulate_get("/apps/demo-app/channels/room:test/history")
    assert read.json["events"][0]["data"] == {"text": "Hello"}


def test_in_production_only_keys_of_the_file_count(make: Callable[..., Application]) -> None:
    application = make(app_with_key("secret"), polyglot_env="prod")
    assert status(application, "secret") == 200
    assert status(application, "valid_key_demo-app") == 401
    assert testing.TestClient(application).simulate_get("/apps/demo-app/channels/room:test/history").status_code == 401


def test_settings_reach_the_parts(make: Callable[..., Application]) -> None:
    rules = 'rules = [{ channels = "small:*", max_event_bytes = 64 }]'
    application = make(app_with_key("k", rules), cors_origins="https://a.example", max_batch_bytes=64)
    client = testing.TestClient(application, headers={"X-API-Key": "k"})
    long = {"type": "t", "data": "x" * 64}
    assert client.simulate_post("/apps/demo-app/channels/small:1/publish", json=long).status_code == 413
    assert client.simulate_post("/apps/demo-app/publish", json=long).status_code == 413
    reply = client.simulate_get("/health", headers={"Origin": "https://a.example"})
    assert reply.headers["access-control-allow-origin"] == "https://a.example"
    assert reply.json["env"] == "dev"


def test_tokens_that_the_secret_signs_are_taken(make: Callable[..., Application]) -> None:
    secret = "5a" * 32
    application = make(app_with_key("k"), polyglot_env="prod", jwt_secret=secret)
    claims = {"app": "demo-app", "exp": int(time.time()) + 60, "can": {"room:*": ["publish"]}}
    client = testing.TestClient(application)
    for signed_by, expected in ((secret, 200), ("a5" * 32, 401)):
        sent = {"Authorization": f"Bearer {jwt.encode(claims, signed_by, 'HS256')}"}
        assert client.simulate_post(PUBLISH, json=EVENT, headers=sent).status_code == expected
    assert application.tokens.verify(jwt.encode(claims, secret, "HS256")).app == "demo-app"


def test_the_authorize_hook_is_loaded_at_the_start(
    make: Callable[..., Application], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "hook_of_this_test.py").write_text(
        "from polyglot_gateway._core import Grant\n\ndef authorize(request):\n    return Grant(request.app, 'hooked')\n"
    )
    granted = make(authorize="hook_of_this_test:authorize").tokens.connect(AuthorizeRequest("connect", "demo-app"))
    assert granted is not None
    assert granted.user_id == "hooked"
    with pytest.raises(SettingsError, match=r"^authorize: 'hook_of_this_test:other': "):
        make(authorize="hook_of_this_test:other")


def test_reloading_changes_keys_and_rules(make: Callable[..., Application], tmp_path: Path) -> None:
    application = make(app_with_key("old"), polyglot_env="prod")
    (tmp_path / "polyglot.toml").write_text(
        app_with_key("new", 'rules = [{ channels = "*", max_event_bytes = 4096, public_read = true }]')
    )
    application.reload()
    assert (status(application, "old"), status(application, "new")) == (401, 200)
    assert testing.TestClient(application).simulate_get("/apps/demo-app/channels/room:test/history").status_code == 200


@pytest.mark.parametrize(
    "toml",
    [
        "nonsense = 1",
        "[apps",
        "[apps.demo-app]\nkeys = []",
        '[apps.demo-app]\nrules = [{ channels = "*", history_size = 2000 }]',
    ],
)
def test_a_wrong_file_changes_nothing(make: Callable[..., Application], tmp_path: Path, toml: str) -> None:
    application = make(app_with_key("old"), polyglot_env="prod")
    (tmp_path / "polyglot.toml").write_text(toml)
    with pytest.raises(SettingsError):
        application.reload()
    assert status(application, "old") == 200


def test_draining_is_said_and_ends_streams_but_still_answers(make: Callable[..., Application]) -> None:
    application = make()
    bodies: list[bytes] = []
    started = threading.Event()

    def follow() -> None:
        environ = testing.create_environ("/apps/demo-app/channels/room:test/events")
        for block in application(environ, lambda *_: None):
            bodies.append(block)
            started.set()

    reader = threading.Thread(target=follow)
    reader.start()
    assert started.wait(5)
    application.drain()
    reader.join(5)
    assert not reader.is_alive()
    client = testing.TestClient(application)
    ready = client.simulate_get("/ready")
    assert (ready.status_code, ready.json["reasons"]) == (503, ["This worker is shutting down."])
    assert client.simulate_get("/health").json["status"] == "degraded"
    assert status(application, "valid_key_demo-app") == 200


def test_two_applications_share_one_history(make: Callable[..., Application]) -> None:
    first, second = make(), make()
    assert status(first, "valid_key_demo-app") == 200
    body = testing.TestClient(second).simulate_get("/apps/demo-app/channels/room:test/history").json
    assert body["count"] == 1


def test_closing_twice_does_no_harm(make: Callable[..., Application]) -> None:
    application = make()
    application.close()
    application.close()
    assert testing.TestClient(application).simulate_get("/ready").status_code == 503


def test_development_is_said_in_the_log(make: Callable[..., Application], capsys: pytest.CaptureFixture[str]) -> None:
    make()
    assert "valid_key_<app>" in capsys.readouterr().err
    make(app_with_key("secret"), polyglot_env="prod")
    assert capsys.readouterr().err == ""
