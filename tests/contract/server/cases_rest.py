"""The other routes, and what all of them share: batches, methods, paths, CORS, request ids, addresses."""

import json

from tests.contract.server.cases_publish import JSON, history, publish
from tests.contract.server.cases_read import CHANNEL, HISTORY, KEY, get
from tests.contract.server.exchange import Case, Request, case

NDJSON = ("Content-Type", "application/x-ndjson")
PUBLISH = "/apps/demo/channels/{room}/publish"
EVENTS = "/apps/demo/channels/{room}/events"
BATCH = "/apps/demo/publish"
BROADCAST = "/apps/demo/broadcast"
HOT = (PUBLISH, HISTORY, "/alive", "/ready")
"""Routes that a server may answer in a way of its own."""


def post(
    target: str, body: object, status: int = 200, code: str = "", *fields: tuple[str, str], key: str = "full-key"
) -> Request:
    data = body if isinstance(body, bytes | list) else json.dumps(body).encode()
    return Request("POST", target, status, code, (("X-API-Key", key), *(fields or (JSON,))), data)


def batch(*events: object) -> dict[str, object]:
    return {"events": list(events)}


def event(channel: str = "{room}", **members: object) -> dict[str, object]:
    return {"channel": channel, "type": "message", "data": 1, **members}


ONE = {"channel": "{room}", "type": "message", "data": [1, 2]}
MIXED = [event(), event("a b"), event(type=1), event("small:c", data="x" * 200), {}, 7, event("{room}/b", data=None)]
LINES = b"\n".join(json.dumps(event(data=number)).encode() for number in range(3))
KEYED = ("Idempotency-Key", "batch")

BATCHES = [
    case("a batch", post(BATCH, batch(event(), event(), event("{room}/b"))), history(), history(channel="{room}/b")),
    case("a batch with refused events", post(BATCH, batch(*MIXED)), history()),
    case("a batch of nothing", post(BATCH, batch(), 400, "invalid_event")),
    case("a batch of a thousand", post(BATCH, batch(*[1] * 1000))),
    case("a batch of too many", post(BATCH, batch(*[1] * 1001), 400, "invalid_event")),
    case("a batch that is no object", post(BATCH, b"[]", 400, "invalid_event")),
    case("a batch without events", post(BATCH, {}, 400, "invalid_event")),
    case("a batch that is no JSON", post(BATCH, b'{"events":[', 400, "invalid_json")),
    case("a batch that is too large", post(BATCH, b" " * 8193, 413, "payload_too_large")),
    case("a batch in chunks that is too large", post(BATCH, [b" " * 8000, b" " * 193], 413, "payload_too_large")),
    case("a batch in chunks", post(BATCH, [b'{"events":[{"channel":"case:chunks","typ', b'e":"m","data":1}]}'])),
    case(
        "a batch of a wrong type",
        post(BATCH, batch(event()), 415, "unsupported_media_type", ("Content-Type", "text/csv")),
    ),
    case("a batch without the scope", post(BATCH, batch(event()), 403, "forbidden", key="reader-key")),
    case("a batch of nobody", post(BATCH, batch(event()), 401, "unauthorized", key="no")),
    case("a batch for a wrong app id", post("/apps/a.b/publish", batch(event()), 400, "invalid_app")),
    case("a batch twice", *(post(BATCH, batch(event(), event("a b")), 200, "", JSON, KEYED),) * 2, history()),
    case("lines", post(BATCH, LINES, 200, "", NDJSON), history()),
    case("lines with an end", post(BATCH, LINES + b"\r\n\n", 200, "", NDJSON), history()),
    case("lines with a refused one", post(BATCH, LINES + b'\n{"channel"\n' + LINES, 200, "", NDJSON), history()),
    case("lines of nothing", post(BATCH, b"\n", 400, "invalid_event", NDJSON)),
    case(
        "a broadcast", post(BROADCAST, {"channels": ["{room}", "a b", "{room}/b"], "type": "m", "data": {}}), history()
    ),
    case("a broadcast to nobody", post(BROADCAST, {"channels": [], "type": "m", "data": 1}, 400, "invalid_event")),
    case(
        "a broadcast to too many",
        post(BROADCAST, {"channels": ["a"] * 101, "type": "m", "data": 1}, 400, "invalid_event"),
    ),
    case("a broadcast as lines", post(BROADCAST, LINES, 415, "unsupported_media_type", NDJSON)),
    case("a broadcast without the scope", post(BROADCAST, {}, 403, "forbidden", key="reader-key")),
    case(
        "a broadcast twice",
        *(post(BROADCAST, {"channels": ["{room}"], "type": "m", "data": 1}, 200, "", JSON, KEYED),) * 2,
    ),
]

METHODS: list[Case] = []
for _path in (PUBLISH, BATCH, BROADCAST):
    for _method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"):
        METHODS.append(case(f"{_method} {_path}", Request(_method, _path, 405, "method_not_allowed", (KEY,))))
for _path in (HISTORY, CHANNEL, EVENTS, "/apps/demo/channels", "/alive", "/ready", "/openapi.json"):
    for _method in ("POST", "PUT"):
        METHODS.append(case(f"{_method} {_path}", Request(_method, _path, 405, "method_not_allowed", (KEY,), b"{}")))
for _path in (
    HISTORY,
    CHANNEL,
    "/apps/other/channels",
    "/alive",
    "/ready",
    "/openapi.json",
    "/api/debug/circuit-breaker",
):
    _fields = (("X-API-Key", "other-key" if "other" in _path else "full-key"),)
    METHODS.append(case(f"HEAD {_path}", Request("HEAD", _path, fields=_fields), Request("GET", _path, fields=_fields)))
for _path in (
    PUBLISH,
    HISTORY,
    CHANNEL,
    EVENTS,
    BATCH,
    BROADCAST,
    "/apps/demo/channels",
    "/alive",
    "/ready",
    "/metrics",
):
    METHODS.append(case(f"OPTIONS {_path}", Request("OPTIONS", _path, 204)))
METHODS += [
    case(f"{method} {path}", Request(method, path, 405, "method_not_allowed", (KEY,)))
    for method in ("BREW", "PROPFIND", "M-SEARCH")
    for path in HOT
]
METHODS += [
    case("HEAD of a refused history", Request("HEAD", HISTORY, 401, "unauthorized")),
    case("HEAD of a wrong path", Request("HEAD", "/nowhere", 404, "not_found")),
    case("HEAD of a stream", Request("HEAD", EVENTS, fields=(KEY,))),
    case("a body that nobody asked for", Request("GET", "/alive", 200, "", (), b"what?")),
]

PATHS = [
    case(f"the path {path}", get(path, 404, "not_found"))
    for path in (
        "/",
        "/nowhere",
        "/alive/",
        "/Alive",
        "/alive/x",
        "//apps/demo/channels/a",
        "/apps",
        "/apps/demo",
        "/apps/demo/nowhere",
        "/apps/demo/publish/",
        "/apps/demo/channel/a/publish",
        "/%D0%BA",
        "/%ff",
        "/a%00b",
        "/%zz",
        "/a%20b?x=1",
        "/.",
        "/%22%3Cb%3E%5C",
    )
]
PATHS += [
    case("an escaped path", get("/%61live")),
    case("a path with an escaped slash", get("/apps/demo%2Fchannels/a")),
    case("a path that begins with two slashes", get("//alive")),
    case("a query where none is asked for", get("/alive?%zz=%ff&a")),
    case("an empty query", get("/alive?")),
    case("the breaker", get("/api/debug/circuit-breaker")),
    case("ready", get("/ready")),
    case("the description", get("/openapi.json")),
]

PREFLIGHT = (("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x-api-key"))
CORS: list[Case] = []
for _origin in (
    "https://app.example",
    "HTTP://LOCALHOST:3000",
    "https://evil.example",
    "null",
    "",
    "https://app.example/",
):
    _sent = ("Origin", _origin)
    CORS += [
        case(f"publish from {_origin!r}", publish(fields=(JSON, _sent))),
        case(f"a refused publish from {_origin!r}", publish(401, "unauthorized", key=None, fields=(JSON, _sent))),
        case(f"history from {_origin!r}", get(HISTORY, 200, "", _sent)),
        case(f"alive from {_origin!r}", get("/alive", 200, "", _sent)),
        case(f"nothing from {_origin!r}", get("/nowhere", 404, "not_found", _sent)),
        case(f"a preflight from {_origin!r}", Request("OPTIONS", PUBLISH, 204, "", (_sent, *PREFLIGHT))),
        case(f"a preflight for reading from {_origin!r}", Request("OPTIONS", HISTORY, 204, "", (_sent, *PREFLIGHT))),
        case(f"options from {_origin!r}", Request("OPTIONS", PUBLISH, 204, "", (_sent,))),
    ]

IDS = [
    case(
        f"the request id {value[:40]!r} of {len(value)}",
        *(
            get(path, status, code, ("X-Request-ID", value))
            for path, status, code in (("/alive", 200, ""), ("/nowhere", 404, "not_found"))
        ),
        publish(fields=(JSON, ("X-Request-ID", value))),
        publish(400, "invalid_json", body=b"{", fields=(JSON, ("X-Request-ID", value))),
    )
    for value in ("a", "A-z_0.9", "x" * 128, "x" * 129, "", "a b", "a/b", "\u00e9", "a,b", '"')
]
IDS.append(case("two request ids", get("/alive", 200, "", ("X-Request-ID", "a"), ("X-Request-ID", "b"))))

ADDRESSES = [
    case(f"forwarded for {chain!r}", publish(fields=(JSON, ("X-Forwarded-For", chain))), history())
    for chain in (
        "",
        "203.0.113.7",
        "198.51.100.1, 203.0.113.7",
        "203.0.113.7,10.1.2.3",
        "198.51.100.1,203.0.113.7 , 10.1.2.3,\t127.0.0.1",
        "10.1.2.3,127.0.0.1",
        "203.0.113.7:8080",
        "[2001:db8::1]:443, [2001:db8::2]",
        "2001:0DB8:0::1",
        "2a00:1450::CAFE",
        "::ffff:203.0.113.7",
        "fe80::1%eth0",
        "nonsense, 10.1.2.3",
        "203.0.113.7, nonsense",
        "203.0.113.07",
        "203.0.113",
        "203.0.113.7,",
        "unknown",
        '" \\',
        "203.0.113.7:",
    )
]
ADDRESSES.append(
    case(
        "forwarded in two fields",
        publish(fields=(JSON, ("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "10.1.2.3"))),
        history(),
    )
)

CASES = BATCHES + METHODS + PATHS + CORS + IDS + ADDRESSES
