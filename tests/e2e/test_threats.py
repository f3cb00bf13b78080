"""What docs/security.md says that an attacker tries, tried against both servers, as they run in production."""

import gzip
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.key_sets import ec_key, key_set, member, rsa_key, signed
from tests.processes import own_memory
from tests.production import KEYS, SECRET, ProductionGateway, token
from tests.raw_http import Answer, Closed, RawConnection
from tests.websocket import Refused, WebSocket, frame

EVENT = b'{"type":"message","data":"of an attacker"}'
EVERYTHING = {"*": ["publish", "history", "subscribe", "presence"]}


@pytest.fixture(scope="module", params=["native", "wsgi"])
def server(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def gateway(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionGateway]:
    """One worker that takes tokens of a secret and of a key set."""
    folder = tmp_path_factory.mktemp("threats")
    (folder / "keys.json").write_text(key_set(one=rsa_key(), two=ec_key()))
    listed = {"JWT_JWKS": "keys.json", "CORS_ORIGINS": "https://app.example"}
    gateway = ProductionGateway(folder, "--workers", "1", "--server", server, **listed)
    yield gateway.wait_until_ready()
    gateway.kill_everything()


@pytest.fixture
def native(gateway: ProductionGateway, server: str) -> ProductionGateway:
    """The same, for what only the native server has."""
    if server != "native":
        pytest.skip("the WSGI server has no sockets")
    return gateway


@pytest.fixture
def room(gateway: ProductionGateway) -> str:
    """A channel of `other` with one event."""
    room = f"room:{uuid.uuid4()}"
    gateway.publish(room, "secret of the other app", app="other")
    return room


def ask(gateway: ProductionGateway, request: bytes) -> Answer:
    with RawConnection(gateway.port) as connection:
        return connection.send(request).answer(request.partition(b" ")[0].decode())


def request(method: str, target: str, *fields: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: a", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def everything_in(app: str, room: str) -> list[tuple[str, str]]:
    """Every route that gives or takes something of an app."""
    channel = f"/apps/{app}/channels/{room}"
    return [
        ("POST", f"{channel}/publish"),
        ("POST", f"/apps/{app}/publish"),
        ("POST", f"/apps/{app}/broadcast"),
        ("GET", f"{channel}/history"),
        ("HEAD", f"{channel}/history"),
        ("DELETE", f"{channel}/history"),
        ("HEAD", f"{channel}/events"),
        ("GET", f"{channel}/events?key=wrong"),
        ("GET", f"{channel}/presence"),
        ("GET", channel),
        ("GET", f"/apps/{app}/channels"),
        ("GET", f"/apps/{app}/analytics?channel={room}"),
    ]


def refused_everywhere(gateway: ProductionGateway, room: str, field: str, statuses: set[int]) -> None:
    """The field's credential gives nothing in `other`, and changes nothing there."""
    for method, target in everything_in("other", room):
        answer = ask(gateway, request(method, target, field, body=EVENT if method == "POST" else b""))
        assert answer.status in statuses, (method, target, answer)
        assert b"secret" not in answer.body
    assert [event["data"] for event in gateway.history(room, app="other")["events"]] == ["secret of the other app"]


def test_a_key_of_one_app_opens_nothing_of_another(gateway: ProductionGateway, room: str) -> None:
    refused_everywhere(gateway, room, f"X-API-Key: {KEYS['demo']}", {401})


def test_a_token_of_one_app_opens_nothing_of_another(gateway: ProductionGateway, room: str) -> None:
    refused_everywhere(gateway, room, f"Authorization: Bearer {token(EVERYTHING)}", {401, 403})
    refused_everywhere(gateway, room, f"Authorization: Bearer {signed(rsa_key(), 'one')}", {401, 403})


def unsigned(algorithm: Any) -> str:
    head, payload, _ = jwt.encode({"app": "other", "exp": 9999999999, "can": EVERYTHING}, SECRET, "HS256").split(".")
    head = jwt.utils.base64url_encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).decode()
    return f"{head}.{payload}."


def public_key(encoding: Encoding) -> bytes:
    """What everybody can read in the key set."""
    return rsa_key().public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def with_the_secret(secret: bytes) -> str:
    """A token of HS256. PyJWT would not take every secret."""
    _, payload, _ = signed(rsa_key(), "one", app="other").split(".")
    head = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"one"}').decode()
    signature = hmac.digest(secret, f"{head}.{payload}".encode(), hashlib.sha256)
    return f"{head}.{payload}.{jwt.utils.base64url_encode(signature).decode()}"


def changed() -> str:
    """A good token of `demo` whose claims were replaced."""
    head, _, signature = token(EVERYTHING).split(".")
    _, payload, _ = token(EVERYTHING, app="other").split(".")
    return f"{head}.{payload}.{signature}"


FORGED: dict[str, Callable[[], str]] = {
    "none": lambda: unsigned("none"),
    "nOnE": lambda: unsigned("nOnE"),
    "no algorithm": lambda: unsigned(None),
    "a secret of one's own": lambda: with_the_secret(b"of somebody else, and just as long as ours"),
    "an empty secret": lambda: with_the_secret(b""),
    "other claims": changed,
    "the public key as the secret": lambda: with_the_secret(public_key(Encoding.PEM)),
    "the public key as the secret, in DER": lambda: with_the_secret(public_key(Encoding.DER)),
    "a key of one's own": lambda: signed(rsa_key(1), "one", app="other"),
    "a key of one's own beside": lambda: signed(rsa_key(1), "mine", {"jwk": member(rsa_key(1))}, app="other"),
    "a key set of one's own": lambda: signed(rsa_key(1), "mine", {"jku": "https://evil.example/"}, app="other"),
    "a path as the key's name": lambda: signed(rsa_key(1), "/dev/null", app="other"),
    "another kind of key": lambda: signed(ec_key(), "one", app="other"),
    "no end": lambda: signed(rsa_key(), "one", app="other", exp=...),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_opens_nothing(gateway: ProductionGateway, server: str, room: str, forge: Any) -> None:
    forged = forge()
    refused_everywhere(gateway, room, f"Authorization: Bearer {forged}", {401})
    stream = ask(gateway, request("GET", f"/apps/other/channels/{room}/events?key={forged}"))
    assert (stream.status, stream.json()["code"]) == (401, "unauthorized")
    if server == "native":
        with pytest.raises(Refused) as refused:
            WebSocket(gateway.port, app="other", token=forged)
        assert refused.value.args[0].status == 401


def test_a_token_that_has_expired_opens_nothing(gateway: ProductionGateway, room: str) -> None:
    for over in (token(EVERYTHING, app="other", seconds=-5), signed(rsa_key(), "one", app="other", exp=1)):
        refused_everywhere(gateway, room, f"Authorization: Bearer {over}", {401})
        answer = ask(gateway, request("GET", "/apps/other/channels", f"Authorization: Bearer {over}"))
        assert answer.json()["code"] == "token_expired"


@pytest.mark.parametrize("app", ["demo", "other", "another"])
def test_the_key_of_development_opens_nothing(gateway: ProductionGateway, app: str) -> None:
    for key in (f"valid_key_{app}", "valid_key_", "", "abc", "*"):
        answer = ask(gateway, request("GET", f"/apps/{app}/channels", f"X-API-Key: {key}"))
        assert answer.status == 401


# How a path could be read as another one by whoever checks it and whoever answers it.
PATHS = [
    "/apps/demo/../other/channels/{room}/history",
    "/apps/demo/%2e%2e/other/channels/{room}/history",
    "/apps/demo/%2E%2E%2Fother/channels/{room}/history",
    "/apps/demo%2f..%2fother/channels/{room}/history",
    "/apps/demo/..%00/other/channels/{room}/history",
    "/apps/demo/channels/../../other/channels/{room}/history",
    "/apps/demo/channels/..%2f..%2fother%2fchannels%2f{room}/history",
    "/apps/demo/channels/%2e%2e/%2e%2e/other/channels/{room}/history",
    "/apps/demo//other/channels/{room}/history",
    "//apps/other/channels/{room}/history",
    "/./apps/other/channels/{room}/history",
    "/apps/other%00/channels/{room}/history",
    "/apps/other%20/channels/{room}/history",
    "/apps/other%2f/channels/{room}/history",
    "/apps/OTHER/channels/{room}/history",
    "/APPS/other/channels/{room}/history",
    "/apps/other/channels/{room}/HISTORY",
    "/apps/other/channels/{room}/history/",
    "/apps/other/channels/{room}/history%00",
    "/apps/other/channels/{room}/history;a=b",
    "/apps/other/channels/{room}%00/history",
    "/apps/other/channels/{room}%2fhistory",
    "/apps/other/channels/{room}\\history",
    "/apps/%6fther/channels/{room}/history",
    "/apps/demo/channels/{room}/history?app=other&app_id=other",
    "/apps/demo/channels/other/{room}/history",
    "http://a/apps/other/channels/{room}/history",
    "/apps/%C0%AE%C0%AE/other/channels/{room}/history",
    "/apps/demo/channels/%252e%252e%252fother/{room}/history",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_spelling_of_a_path_leads_to_another_app(gateway: ProductionGateway, room: str, path: str) -> None:
    target = path.replace("{room}", room)
    for field in (f"X-API-Key: {KEYS['demo']}", f"Authorization: Bearer {token(EVERYTHING)}", "X-A: nobody"):
        answer = ask(gateway, request("GET", target, field))
        assert b"secret" not in answer.body, answer
        ask(gateway, request("POST", target.replace("history", "publish"), field, body=EVENT))
    assert len(gateway.history(room, app="other")["events"]) == 1


SMUGGLED = b"POST /apps/demo/channels/%s/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: " + KEYS["demo"].encode() + b"\r\n"
# How much of what follows belongs to the first request, two readers could see in two ways.
AMBIGUOUS = {
    "length and chunks": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "chunks in other letters": b"Content-Length: %d\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    "a coding that hides chunks": b"Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a tab before chunked": b"Content-Length: %d\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n",
    "two lengths in one": b"Content-Length: 0, %d\r\n\r\n",
    "a folded length": b"Content-Length:\r\n 0\r\nX: %d\r\n\r\n",
    "a folded coding": b"Content-Length: %d\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n\r\n",
    "a bare LF before a length": b"X-A: b\nContent-Length: %d\r\n\r\n",
    "a bare CR before a length": b"X-A: b\rContent-Length: %d\r\n\r\n",
    "a head that ends in LFs": b"Content-Length: %d\n\n",
    "a NUL in a name": b"Content-Length\x00: %d\r\n\r\n",
    "a length with a sign": b"Content-Length: +%d\r\n\r\n",
}


@pytest.mark.parametrize("ambiguous", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_no_request_is_smuggled_in_another(gateway: ProductionGateway, ambiguous: bytes) -> None:
    channel = f"smuggled:{uuid.uuid4()}"
    hidden = SMUGGLED % channel.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)
    fields = ambiguous.replace(b"%d", b"%d" % len(hidden))
    with RawConnection(gateway.port) as connection:
        connection.send(b"POST /apps/demo/channels/open:1/publish HTTP/1.1\r\nHost: a\r\n" + fields + hidden)
        assert 400 <= connection.answer().status <= 501
        assert connection.rest() == b"", "what follows must not be answered"
    assert gateway.history(channel)["count"] == 0


BOMB = gzip.compress(b'{"type":"a","data":"' + b" " * (64 << 20) + b'"}')


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "br", "identity, gzip", "GZIP"])
def test_a_body_that_would_unpack_to_much_is_refused_packed(gateway: ProductionGateway, coding: str) -> None:
    (worker,) = gateway.workers()
    before = own_memory(worker)
    for target in ("/apps/demo/channels/room:1/publish", "/apps/demo/publish", "/apps/demo/broadcast"):
        fields = (f"Content-Encoding: {coding}", "Content-Type: application/json", f"X-API-Key: {KEYS['demo']}")
        answer = ask(gateway, request("POST", target, *fields, body=BOMB[:60_000]))
        assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type"), answer
    assert own_memory(worker) < before + (32 << 20)


def test_sockets_unpack_nothing(native: ProductionGateway) -> None:
    offers = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    socket = WebSocket(native.port, token=KEYS["demo"], headers=offers)
    assert socket.handshake.field("sec-websocket-extensions") is None
    socket.send(frame(1, BOMB[:1000], reserved=4))
    assert socket.end()[0] == 1002


INJECTED = [
    "%0d%0aSet-Cookie:%20evil=1",
    "%0aSet-Cookie:evil=1",
    "%0d%0a%0d%0aHTTP/1.1%20200%20OK",
    "%E5%98%8D%E5%98%8A",
]
EXPECTED_FIELDS = {
    *("date", "server", "connection", "keep-alive", "content-type", "content-length", "transfer-encoding"),
    *("x-request-id", "vary", "allow", "retry-after", "www-authenticate", "cache-control", "x-accel-buffering"),
    *("access-control-allow-origin", "access-control-expose-headers", "access-control-allow-methods"),
    *("access-control-allow-headers", "access-control-max-age", "idempotency-replayed"),
}


def assert_sound(answer: Answer) -> None:
    """It has the fields that the gateway sets, and what a client sent stands in none but its own."""
    names = [name for name, _ in answer.fields]
    assert set(names) <= EXPECTED_FIELDS
    assert len(set(names) - {"vary"}) == len([name for name in names if name != "vary"])
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.field("x-request-id") or "")
    assert not any("evil" in value for _, value in answer.fields)


@pytest.mark.parametrize("injected", INJECTED)
def test_nothing_in_a_url_becomes_a_header_field(gateway: ProductionGateway, injected: str) -> None:
    key = f"X-API-Key: {KEYS['demo']}"
    for target in (
        f"/apps/demo/channels/a{injected}/publish",
        f"/apps/demo{injected}/channels/a/publish",
        f"/apps/demo/channels/a/history?epoch={injected}",
        f"/apps/demo/channels/a/history?limit={injected}",
        f"/apps/demo/channels?cursor={injected}",
        f"/apps/demo/channels/a/events?since={injected}",
        f"/{injected}",
        f"/socket/longpoll?vsn={injected}&app_id=demo",
        f"/socket/longpoll?vsn=2.0.0&app_id={injected}",
        f"/socket/websocket?vsn=2.0.0&app_id={injected}",
    ):
        for method in ("GET", "POST"):
            assert_sound(ask(gateway, request(method, target, key, body=EVENT if method == "POST" else b"")))


@pytest.mark.parametrize(
    "value", ["evil\x0bx", "evil evil", "evil;a=b", "é-evil", "evil" * 1000, "<script>evil</script>"]
)
@pytest.mark.parametrize("name", ["X-Request-ID", "Origin", "Idempotency-Key", "Last-Event-ID", "X-Forwarded-For"])
def test_nothing_that_a_field_says_is_answered_in_another(gateway: ProductionGateway, name: str, value: str) -> None:
    for target in ("/alive", "/nowhere", "/apps/demo/channels/a/history", "/apps/demo/channels/a/publish"):
        method = "POST" if target.endswith("publish") else "GET"
        sent = request(method, target, f"X-API-Key: {KEYS['demo']}", f"{name}: {value}", body=EVENT)
        with RawConnection(gateway.port) as connection:
            try:
                answer = connection.send(sent).answer(method)
            except Closed:
                continue
            if answer.field("x-request-id") is not None:  # gunicorn's own refusals have none
                assert_sound(answer)
            assert not any("evil" in field for _, field in answer.fields)


PAGES = ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null", "http://localhost:1"]


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_strangers_read_no_answer(gateway: ProductionGateway, page: str) -> None:
    for target in ("/apps/demo/channels", "/alive", "/socket/longpoll?vsn=2.0.0&app_id=demo"):
        for method, fields in (("GET", []), ("OPTIONS", ["Access-Control-Request-Method: GET"])):
            answer = ask(gateway, request(method, target, f"Origin: {page}", f"X-API-Key: {KEYS['demo']}", *fields))
            names = {name for name, _ in answer.fields}
            assert not {name for name in names if name.startswith("access-control-")}
    answer = ask(gateway, request("GET", "/alive", "Origin: https://app.example"))
    assert answer.field("access-control-allow-origin") == "https://app.example"
    assert answer.field("access-control-allow-credentials") is None


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_strangers_open_no_socket(native: ProductionGateway, page: str) -> None:
    with pytest.raises(Refused) as refused:
        WebSocket(native.port, token=KEYS["demo"], headers={"Origin": page})
    problem = refused.value.args[0]
    assert (problem.status, problem.json()["code"]) == (403, "forbidden")
    assert "cors_origins" in problem.json()["error"]
    for known in ("https://app.example", "https://gateway", "http://gateway:8080"):
        WebSocket(native.port, token=KEYS["demo"], headers={"Origin": known}).join("room:1")


def test_who_has_no_key_learns_nothing_of_what_exists(gateway: ProductionGateway, room: str) -> None:
    """Whether an app or a channel exists, or how much of a key is right, is not to be seen."""
    answers = {
        re.sub(rb'"request_id":"[^"]*"', b"", ask(gateway, request("GET", target, f"X-API-Key: {key}")).body)
        for target in (f"/apps/other/channels/{room}/history", "/apps/none/channels/none/history")
        for key in ("x", KEYS["other"][:-1], KEYS["other"] + "x", KEYS["other"].upper(), KEYS["demo"])
    }
    assert len(answers) == 1, answers
