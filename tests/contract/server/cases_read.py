"""What is read: history, channels, and who may."""

import time

import jwt
from tests.contract.server.cases_publish import history, publish
from tests.contract.server.conftest import SECRET
from tests.contract.server.exchange import Case, Request, case

HISTORY = "/apps/demo/channels/{room}/history"
CHANNEL = "/apps/demo/channels/{room}"
KEY = ("X-API-Key", "full-key")


def get(
    target: str, status: int = 200, code: str = "", *fields: tuple[str, str], key: str | None = "full-key"
) -> Request:
    return Request("GET", target, status, code, (*(() if key is None else (("X-API-Key", key),)), *fields))


def events(count: int) -> tuple[Request, ...]:
    return tuple(publish(body=b'{"type":"message","data":%d}' % number) for number in range(count))


def looked_at(name: str, *queries: str) -> Case:
    """What these queries give of five events."""
    return case(name, *events(5), *map(history, queries))


def not_allowed(query: str) -> Case:
    return case(f"history?{query[:60]}", history(query, 400, "invalid_parameter"))


PAGES = [
    case("the history of a channel that never was", history()),
    case("a history of many events", *events(120), history(), history("limit=1000"), history("since=110")),
    looked_at("limits", "limit=1", "limit=2", "limit=1000", "limit=0001"),
    looked_at("since", "since=0", "since=3", "since=5", "since=6", "since=9223372036854775807", "since=%31"),
    looked_at("until", "until=0", "until=3", "until=5", "until=99"),
    looked_at("since and until", "since=1&until=3", "since=3&until=1", "until=3&since=2&limit=1"),
    looked_at("reverse", "reverse=true", "reverse=1&limit=2", "reverse=false", "reverse=0", "reverse=true&since=3"),
    looked_at("the epoch", "epoch={epoch}", "epoch={epoch}&since=2", "epoch=0000000000000000&since=2"),
    looked_at("the epoch in capitals", "since=2", "epoch=ABCDEF0123456789&since=2"),
    looked_at("parameters that nobody asks for", "other=1", "other", "other=1&other=2", "=", "&&", "limit=2&", "?"),
    looked_at("odd encodings", "limit=%32", "li%6dit=2", "limit=2#3", "other=%zz", "other=%ff", "other=+a"),
    case(
        "a short history",
        *(publish(channel="short:a", body=b'{"type":"m","data":%d}' % number) for number in range(5)),
        history("since=1", channel="short:a"),
        history("", channel="short:a"),
        history("since=1&epoch={epoch}", channel="short:a"),
    ),
]
PAGES += [
    not_allowed(query)
    for query in (
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=+1",
        "limit=1.0",
        "limit=ten",
        "limit=%D9%A1",
        "limit=1%00",
        "limit=%zz",
        "limit=%ff",
        "limit=99999999999999999999",
        "limit=" + "1" * 1000,
        "limit=1&limit=1",
        "limit=1,2",
        "since=-1",
        "since=9223372036854775808",
        "since=a",
        "since=1&since=2",
        "until=1e3",
        "until=1&until=1",
        "reverse=yes",
        "reverse=TRUE",
        "reverse=1&reverse=0",
        "epoch=1",
        "epoch=zzzzzzzzzzzzzzzz",
        "epoch=00000000000000000",
        "epoch=0000000000000000&epoch=0000000000000000",
        "limit='\"<>\\",
        "limit=2;a",
        "limit=",
        "since=",
        "until=",
        "reverse=",
        "epoch=",
    )
]

FORGET = [
    case(
        "a channel is forgotten",
        *events(2),
        Request("DELETE", HISTORY, fields=(KEY,)),
        history(),
        history("since=2&epoch=0000000000000000"),
        *events(1),
        history(),
    ),
    case("a channel that never was is forgotten", Request("DELETE", HISTORY, fields=(KEY,))),
    case(
        "only an admin forgets",
        Request("DELETE", HISTORY, 403, "forbidden", (("X-API-Key", "reader-key"),)),
        Request("DELETE", HISTORY, 401, "unauthorized"),
        Request("DELETE", "/apps/demo/channels/a+b/history", 400, "invalid_channel", (KEY,)),
    ),
]


def read_by_all(name: str, target: str) -> Case:
    return case(name, *(get(target, key=key) for key in (None, "nobody's", "writer-key", "reader-key")))


def read_by_some(name: str, target: str) -> Case:
    return case(
        name,
        get(target, 401, "unauthorized", key=None),
        get(target, 401, "unauthorized", key="nobody's"),
        get(target, 403, "forbidden", key="writer-key"),
        get(target, key="reader-key"),
    )


WHO = [
    read_by_some("who may read a history", HISTORY),
    read_by_some("who may see a channel", CHANNEL),
    read_by_all("who may read a public history", "/apps/demo/channels/public:a/history"),
    read_by_all("who may see a public channel", "/apps/demo/channels/public:a"),
]


def bearer(
    name: str, status: int, code: str = "", *, secret: str = SECRET, scheme: str = "Bearer", **claims: object
) -> Case:
    everything = {
        "app": "demo",
        "exp": int(time.time()) + 3600,
        "can": {"case:*": ["publish", "history"]},
        "sub": "alice",
    }
    payload = {name: value for name, value in {**everything, **claims}.items() if value is not None}
    field = ("Authorization", f"{scheme} {jwt.encode(payload, secret, 'HS256')}")
    return case(
        f"a token {name}",
        publish(status, code, key=None, fields=(("Content-Type", "application/json"), field)),
        get(HISTORY, status, code, field, key=None),
        history(),
    )


TOKENS = [
    bearer("that holds", 200),
    bearer("in another spelling", 200, scheme="bEARER "),
    bearer("without a name", 200, sub=None),
    bearer("of a name in unicode", 200, sub='al"ice \u043a\u043b\u044e\u0447'),
    bearer("that is over", 401, "token_expired", exp=1),
    bearer("that is not yet valid", 401, "unauthorized", nbf=4_000_000_000),
    bearer("without an end", 401, "unauthorized", exp=None),
    bearer("of another app", 403, "forbidden", app="other"),
    bearer("of another channel", 403, "forbidden", can={"room:*": ["publish", "history"]}),
    bearer("of no scope", 403, "forbidden", can={"case:*": []}),
    bearer("that another signed", 401, "unauthorized", secret="another secret, that nobody here has told the gateway"),
    bearer("in another scheme", 401, "unauthorized", scheme="Basic"),
    case("a token that is none", publish(401, "unauthorized", key=None, fields=(("Authorization", "Bearer a.b.c"),))),
    case("an empty token", publish(401, "unauthorized", key=None, fields=(("Authorization", "Bearer "),))),
    case("a key goes before a token", publish(key="full-key", fields=(("Authorization", "Bearer a.b.c"),))),
]

CHANNELS = [
    case("a channel that never was", get(CHANNEL)),
    case("a channel with a slash in its name", publish(channel="{room}/a"), get(CHANNEL + "/a")),
    case("a channel that has no name", get("/apps/demo/channels/", 400, "invalid_channel")),
    case("a channel of another app", get("/apps/other/channels/a", 401, "unauthorized")),
    case("channels of nobody", get("/apps/demo/channels", 401, "unauthorized", key=None)),
    case("channels without the scope", get("/apps/demo/channels", 403, "forbidden", key="writer-key")),
    case("channels of a wrong app id", get("/apps/a.b/channels", 400, "invalid_app")),
    case("channels of an app without any", get("/apps/other/channels", key="other-key")),
    case("channels with a wrong limit", get("/apps/demo/channels?limit=0", 400, "invalid_parameter")),
    case("channels with a wrong cursor", get("/apps/demo/channels?cursor=%ff", 400, "invalid_parameter")),
    case("channels with a short cursor", get("/apps/demo/channels?cursor=x", 400, "invalid_parameter")),
]

ANALYTICS = "/apps/demo/analytics"
ALL_PARAMETERS = "field=/a&field=/b~1c&field=&window=60&bucket=30"
FIGURES = [
    case("figures of a channel that never was", get(f"{ANALYTICS}?channel={{room}}&{ALL_PARAMETERS}")),
    case("the head of figures", Request("HEAD", f"{ANALYTICS}?channel={{room}}", fields=(KEY,))),
    case("figures of an app without channels", get("/apps/other/analytics", key="other-key")),
    case("figures of a wrong channel", get(f"{ANALYTICS}?channel=a%20b", 400, "invalid_channel")),
    case("figures of a wrong field", get(f"{ANALYTICS}?channel=a&field=%61", 400, "invalid_parameter")),
    case("figures of a wrong window", get(f"{ANALYTICS}?window=%zz", 400, "invalid_parameter")),
    read_by_some("who may see figures", f"{ANALYTICS}?channel={{room}}"),
    read_by_all("who may see figures of a public channel", f"{ANALYTICS}?channel=public:never"),
]

CASES = PAGES + FORGET + WHO + TOKENS + CHANNELS + FIGURES
