"""No key, token, password or signing secret is ever logged or answered, whatever goes wrong."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.key_sets import ec_key, key_set, rsa_key, signed
from tests.production import KEYS, SECRET, ProductionGateway, token
from tests.raw_http import RawConnection
from tests.serving import POLYGLOT, free_port, wait_until
from tests.websocket import Refused, WebSocket

HOOK = """
from polyglot_gateway.errors import Forbidden


def authorize(request):
    if (request.params.get("hook") or request.headers.get("x-hook")) == "fail":
        credential = request.token or request.api_key  # a traceback must not show it
        raise RuntimeError("as it does on Sundays")
    if request.headers.get("x-hook") == "deny":
        raise Forbidden("Not on a Sunday.")
    return None
"""
EVENT = b'{"type":"message","data":1}'
REDIS_PASSWORD = "redis-hunter2-redis"
PROCESSOR_PASSWORD = "processor-hunter2-processor"
COOKIE = "session-hunter2-session"
STRANGE_KEY = "pg_a-key-of-nobody-hunter2"

DAY = 86_400
END = int(time.time()) + DAY
TOKENS = {
    "good": token({"room:*": ["publish", "history", "subscribe"]}, seconds=DAY),
    "expired": token({"*": ["publish"]}, seconds=-100),
    "forged": token({"*": ["publish"]}, secret="of somebody else, and just as long as ours", seconds=DAY),
    "of another app": token({"*": ["publish"]}, app="other", seconds=DAY),
    "of a key set": signed(rsa_key(), "one", exp=END),
    "of no known key": signed(ec_key(7), "seven", exp=END),
    "no claims": signed(rsa_key(), "one", can=["hunter2"], exp=END),
    "no token": "a.hunter2-no-token.c",
}
SECRETS = [SECRET, *KEYS.values(), REDIS_PASSWORD, PROCESSOR_PASSWORD, COOKIE, STRANGE_KEY]


def parts(credential: str) -> Iterator[str]:
    """What of a credential must not be seen: all of it, and what of a token could be used with other parts."""
    yield credential
    if credential.count(".") == 2:
        yield from (part for part in credential.split(".")[1:] if len(part) > 8)


@pytest.fixture(params=["native json", "native console", "wsgi json", "wsgi console"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., ProductionGateway]]:
    """Starts a gateway with every secret that it can have."""
    server, form = request.param.split()
    (tmp_path / "hooks.py").write_text(HOOK)
    (tmp_path / "keys.json").write_text(key_set(one=rsa_key()))
    started: list[ProductionGateway] = []

    def run(**environment: str) -> ProductionGateway:
        given = {"LOG_FORMAT": form, "LOG_LEVEL": "debug", "AUTHORIZE": "hooks:authorize", "JWT_JWKS": "keys.json"}
        arguments = ("--workers", "1", "--server", server)
        started.append(ProductionGateway(tmp_path, *arguments, **(given | environment)))
        return started[-1].wait_until_ready()

    yield run
    for gateway in started:
        gateway.kill_everything()


REQUESTS: list[tuple[str, str, bytes]] = [
    ("POST", "/apps/demo/channels/room:1/publish", EVENT),
    ("POST", "/apps/demo/channels/room:1/publish", b'{"type":'),
    ("POST", "/apps/demo/channels/a%20b/publish", EVENT),
    ("POST", "/apps/demo/publish", b'{"events":[7]}'),
    ("POST", "/apps/demo/broadcast", b"{}"),
    ("GET", "/apps/demo/channels/room:1/history?limit=0", b""),
    ("GET", "/apps/demo/channels/hall/history", b""),
    ("GET", "/apps/demo/channels/hall/presence", b""),
    ("GET", "/apps/demo/analytics?channel=hall", b""),
    ("DELETE", "/apps/demo/channels/hall/history", b""),
    ("GET", "/apps/a.b/channels", b""),
    ("GET", "/nowhere", b""),
    ("PATCH", "/apps/demo/channels/room:1/history", b""),
    ("GET", "/metrics", b""),
    ("GET", "/health", b""),
    ("GET", "/openapi.json", b""),
    ("GET", "/socket/longpoll?vsn=2.0.0&app_id=demo", b""),
]


def credentials() -> Iterator[tuple[str, str]]:
    """Header fields with a credential, and its text."""
    for key in (*KEYS.values(), STRANGE_KEY):
        yield f"X-API-Key: {key}", key
        yield f"Authorization: Basic {key}", key
    for sent in TOKENS.values():
        yield f"Authorization: Bearer {sent}", sent
        yield f"X-API-Key: {sent}", sent


def ask(gateway: ProductionGateway, method: str, target: str, body: bytes, *fields: str) -> bytes:
    """All that is answered, fields too; of what does not end, the head."""
    head = "\r\n".join(
        [f"{method} {target} HTTP/1.1", "Host: a", f"Cookie: {COOKIE}", *fields, f"Content-Length: {len(body)}", "", ""]
    )
    with RawConnection(gateway.port) as connection:
        connection.send(head.encode() + body)
        status, found = connection.head()
        length = dict(found).get("content-length")
        return f"{status} {found}".encode() + (connection._take(int(length)) if length else b"")


def said_to_everything(gateway: ProductionGateway) -> list[bytes]:
    """What is answered to requests that fail, and to some that do not, with each credential in each place."""
    answers = []
    for field, credential in credentials():
        for hook in ("", "fail", "deny"):
            for method, target, body in REQUESTS[:1] if hook else REQUESTS:
                answers.append(ask(gateway, method, target, body, field, *([f"X-Hook: {hook}"] if hook else [])))
        in_url = credential.replace(" ", "+")
        for target in (
            f"/apps/demo/channels/hall/events?key={in_url}",
            f"/apps/demo/channels/hall/events?key={in_url}&hook=fail",
            f"/apps/demo/channels/hall/events?key={in_url}&since=x",
            f"/apps/demo/channels/hall/events?key={in_url}&key=",
            f"/apps/demo/channels/hall/history?key={in_url}&limit=x",
            f"/socket/longpoll?vsn=2.0.0&app_id=demo&token={in_url}",
            f"/socket/websocket?vsn=2.0.0&app_id=demo&token={in_url}",
        ):
            answers.append(ask(gateway, "GET", target, b""))
        answers.append(b"".join(malformed(gateway, credential)))
    return answers


def malformed(gateway: ProductionGateway, credential: str) -> Iterator[bytes]:
    """What is no HTTP, with a credential in it."""
    for broken in ("Content-Length: x", "X-A : b", " folded", f"X-Long: {'x' * 9000}"):
        with RawConnection(gateway.port) as connection:
            connection.send(f"GET /alive HTTP/1.1\r\nHost: a\r\nX-API-Key: {credential}\r\n{broken}\r\n\r\n".encode())
            yield connection.rest()


def socket_says(gateway: ProductionGateway) -> Iterator[Any]:
    """What sockets are told."""
    for sent in (*KEYS.values(), STRANGE_KEY, *TOKENS.values()):
        for hook in ("", "fail"):
            try:
                socket = WebSocket(gateway.port, token=sent, hook=hook)
            except Refused as refused:
                yield refused.args[0]
                continue
            for joins_by in (sent, *TOKENS.values()):
                for join in ("", "fail"):
                    yield socket.reply(socket.ask_to_join("hall", access_token=joins_by, hook=join))
            socket.join("room:1", access_token=TOKENS["good"])
            yield socket.reply(socket.push("room:1", "access_token", {"access_token": sent}))
            yield socket.reply(socket.push("room:1", "publish", {"token": sent}))
            socket.close()


def seen_in(text: str) -> list[str]:
    credentials = [*SECRETS, *TOKENS.values()]
    return [part for credential in credentials for part in parts(credential) if part in text]


def test_nothing_of_a_request_shows_a_secret(start: Callable[..., ProductionGateway]) -> None:
    gateway = start()
    answered = b"\n".join(said_to_everything(gateway)).decode("utf-8", "replace")
    if "wsgi" not in " ".join(map(str, gateway.process.args)):
        answered += "\n".join(map(str, socket_says(gateway)))
    assert seen_in(answered) == []
    # The log has the failures of the hook, with where they come from.
    log = wait_until(lambda: "as it does on Sundays" in gateway.log.read_text() and gateway.log.read_text(), "the log")
    gateway.stop()
    assert seen_in(log) == []
    assert seen_in(gateway.log.read_text()) == []


def test_what_does_not_answer_shows_no_password(start: Callable[..., ProductionGateway]) -> None:
    nobody = free_port()
    gateway = start(
        ON_ENGINE_DOWN="spool",
        REDIS_URL=f"redis://user:{REDIS_PASSWORD}@127.0.0.1:{nobody}/0",
        PROCESSOR_URL=f"http://user:{PROCESSOR_PASSWORD}@127.0.0.1:{nobody}",
    )
    key = f"X-API-Key: {KEYS['demo']}"
    answered = b"".join(ask(gateway, method, target, body, key) for method, target, body in REQUESTS)
    answered += ask(gateway, "GET", "/ready", b"") + ask(gateway, "GET", "/api/debug/circuit-breaker", b"")
    assert b"50" in answered
    assert seen_in(answered.decode("utf-8", "replace")) == []
    gateway.stop()
    assert seen_in(gateway.log.read_text()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"JWT_SECRET": "too-short-hunter2"},
        {"REDIS_URL": f"rediss://:{REDIS_PASSWORD}@:x/"},
        {"PROCESSOR_URL": f"htp://user:{PROCESSOR_PASSWORD}@host"},
        {"JWT_JWKS": f"https://user:{PROCESSOR_PASSWORD}@host/keys"},
        {"WORKERS": "many"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_a_start_that_is_refused_shows_no_secret(tmp_path: Path, wrong: dict[str, str], command: str) -> None:
    secrets = {"JWT_SECRET": SECRET, "REDIS_PASSWORD": REDIS_PASSWORD, "REDIS_HOST": "127.0.0.1"} | wrong
    given = {**os.environ, "POLYGLOT_ENV": "prod", "BIND": f"127.0.0.1:{free_port()}", **secrets}
    done = subprocess.run([*POLYGLOT, command], cwd=tmp_path, env=given, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert next(iter(wrong)).lower() in done.stderr
    said = done.stdout + done.stderr
    assert not [secret for secret in (*SECRETS, "hunter2") if secret in said], json.dumps(said)
