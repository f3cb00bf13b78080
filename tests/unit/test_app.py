import hashlib
import logging
import os
import socket
import subprocess
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
from tests.key_sets import key_set, rsa_key, signed
from tests.peers import Peer, accept_all, event, read_request
from tests.serving import free_port

from polyglot_gateway.app import Application, create_app
from polyglot_gateway.errors import ProcessorUnavailable, SettingsError, Unauthorized
from polyglot_gateway.gateway.tokens import AuthorizeRequest
from polyglot_gateway.processor.base import ACCEPT
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


def test_tokens_that_a_key_of_the_set_signs_are_taken(make: Callable[..., Application], tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(key_set(one=rsa_key()))
    wanted = {"jwt_issuer": "https://id.example", "jwt_audience": "gateway"}
    application = make(app_with_key("k"), polyglot_env="prod", jwt_jwks="keys.json", **wanted)
    claims = {"app": "demo-app", "iss": "https://id.example", "aud": "gateway"}
    assert application.tokens.verify(signed(rsa_key(), "one", **claims)).app == "demo-app"
    for wrong in ({"iss": "https://other.example"}, {"aud": "other"}):
        with pytest.raises(Unauthorized):
            application.tokens.verify(signed(rsa_key(), "one", **claims | wrong))
    (tmp_path / "keys.json").write_text(key_set(two=rsa_key(1)))
    application.reload()
    assert application.tokens.verify(signed(rsa_key(1), "two", **claims))
    with pytest.raises(Unauthorized):
        application.tokens.verify(signed(rsa_key(), "one", **claims))
    with pytest.raises(SettingsError, match=r"^jwt_jwks: 'none.json': cannot be read"):
        make(jwt_jwks="none.json")


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


def test_without_a_processor_nothing_is_called(make: Callable[..., Application]) -> None:
    application = make()
    assert application.processor is None
    client = testing.TestClient(application)
    assert client.simulate_get("/api/debug/circuit-breaker").json["processor"] == "embedded"
    assert client.simulate_get("/health").json["processor"]["name"] == "embedded"


@pytest.mark.parametrize("breaks", [True, False])
def test_a_processor_that_keeps_failing_is_told_everywhere(make: Callable[..., Application], breaks: bool) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    application = make(processor_url=url, use_circuit_breaker=breaks)
    client = testing.TestClient(application)
    assert client.simulate_get("/ready").status_code == 200
    assert application.processor is not None
    for _ in range(5):
        with pytest.raises(ProcessorUnavailable):
            application.processor.process([event()])
    told = client.simulate_get("/api/debug/circuit-breaker").json
    state = "open" if breaks else "closed"
    assert (told["enabled"], told["processor"], told["state"]) == (breaks, "http", state)
    ready, health = client.simulate_get("/ready"), client.simulate_get("/health").json
    if breaks:
        (reason,) = ready.json["reasons"]
        assert reason.startswith(f"The processor at {url} is not asked")
    assert (ready.status_code, health["status"]) == ((503, "degraded") if breaks else (200, "ok"))
    assert health["processor"]["state"] == state
    told = client.simulate_get("/metrics").text
    assert f'polyglot_processor_breakers{{state="{state}"}} 1.0' in told
    assert f"polyglot_processor_up {0.0 if breaks else 1.0}" in told
    assert f"polyglot_ready {0.0 if breaks else 1.0}" in told
    assert "polyglot_processor_call_seconds_count 5.0" in told


def test_a_processor_elsewhere_is_asked_until_the_application_is_closed(make: Callable[..., Application]) -> None:
    gone = threading.Event()

    def behave(peer: Peer, connection: socket.socket) -> None:
        try:
            while True:
                accept_all(peer, connection, read_request(peer, connection))
        except EOFError:
            gone.set()

    peer = Peer(behave)
    application = make(processor_url=peer.url)
    assert application.processor is not None
    assert application.processor.process([event()]) == [ACCEPT]
    application.close()
    assert gone.wait(5)
    peer.close()


def test_the_settings_of_the_processor_reach_it(make: Callable[..., Application]) -> None:
    application = make(processor_url="http://here:1,http://there:2", use_grpc=True, processor_grpc_port=9191)
    assert application.processor is not None
    endpoints = [endpoint["endpoint"] for endpoint in application.processor.breaker()["endpoints"]]
    assert endpoints == ["grpc://here:9191", "http://here:1", "grpc://there:9191", "http://there:2"]
    hung = Peer(lambda peer, _: peer.ended.wait(20))
    slow = make(processor_url=hung.url, processor_timeout=0.05)
    assert slow.processor is not None
    with pytest.raises(ProcessorUnavailable, match=r"within [1-5]?\d ms"):
        slow.processor.process([event()])
    hung.close()


def test_the_function_of_the_processor_is_called_here(
    make: Callable[..., Application], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "function_of_this_test.py").write_text(
        "from polyglot_gateway.processor.base import reject\n\n"
        "def process(events):\n    return [reject('No.') for _ in events]\n"
    )
    application = make(processor_function="function_of_this_test:process")
    assert application.processor is not None
    assert application.processor.process([event()])[0].reason == "No."
    with pytest.raises(SettingsError, match=r"^processor_function: 'function_of_this_test:other': "):
        make(processor_function="function_of_this_test:other")


@pytest.mark.parametrize(
    "environment",
    [
        {"REDIS_HOST": "nowhere"},
        {"PROCESSOR_URL": "http://nowhere"},
        {"PROCESSOR_URL": "http://nowhere", "USE_GRPC": "true"},
        {"PROCESSOR_FUNCTION": "uses_ssl:process"},
        {"JWT_JWKS": "http://127.0.0.1:1/"},
    ],
    ids=str,
)
def test_gevent_can_patch_after_the_master_has_tried_the_settings(tmp_path: Path, environment: dict[str, str]) -> None:
    # What the master imports, the workers that it forks have too, and then patch ssl: whoever has imported it by then,
    # such as PyJWT, urllib3 and redis-py, would hold the unpatched parts.
    (tmp_path / "uses_ssl.py").write_text("import urllib3\n\ndef process(events): ...\n")
    code = (
        "from polyglot_gateway.app import create_app; from polyglot_gateway.settings import load_settings; "
        "create_app(load_settings().without_redis().without_processor().without_jwks()).close(); "
        "import sys; assert not {'cryptography', 'grpc', 'jwt', 'redis', 'urllib3'} & set(sys.modules); "
        "from gevent import monkey; monkey.patch_all()"
    )
    given = {**os.environ, "HISTORY_BYTES": "1048576", "MAX_CHANNELS": "100", "LOG_LEVEL": "error", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path, env=given
    )
    assert (done.returncode, done.stderr) == (0, "")
