"""POST …/publish, one event at a time: what is taken, what is refused, and with which words."""

from tests.contract.server.exchange import EVENT, Case, Request, case

JSON = ("Content-Type", "application/json")


def publish(
    status: int = 200,
    code: str = "",
    *,
    body: bytes | list[bytes] | None = EVENT,
    channel: str = "{room}",
    app: str = "demo",
    key: str | None = "full-key",
    fields: tuple[tuple[str, str], ...] = (JSON,),
) -> Request:
    credential = () if key is None else (("X-API-Key", key),)
    return Request("POST", f"/apps/{app}/channels/{channel}/publish", status, code, (*credential, *fields), body)


def history(query: str = "", status: int = 200, code: str = "", *, channel: str = "{room}") -> Request:
    path = f"/apps/demo/channels/{channel}/history"
    return Request("GET", f"{path}?{query}" if query else path, status, code, (("X-API-Key", "full-key"),))


def refused(name: str, code: str, status: int = 400, **request: object) -> Case:
    """A publish that is refused and leaves no trace; the history is looked at where the channel can have one."""
    looked_at = () if "channel" in request or "app" in request else (history(),)
    return case(name, publish(status, code, **request), *looked_at)


NAMES = [
    case("a name with a slash", publish(channel="{room}/a"), history(channel="{room}/a")),
    case("a name with an escaped slash", publish(channel="{room}%2Fa"), history(channel="{room}/a")),
    case(
        "a name that ends in an escaped action", publish(channel="{room}%2fpublish"), history(channel="{room}/publish")
    ),
    case("a name with an action in it", publish(channel="{room}/publish"), history(channel="{room}/publish")),
    case("a name that is escaped throughout", publish(channel="%72%6F%6f%6D%3a1"), history(channel="room:1")),
    case("every character that a name may have", publish(channel="{room}_-=@,.;:~/9Z")),
    case("a name with empty segments", publish(channel="{room}//a"), history(channel="{room}//a")),
    case("a name with dots", publish(channel="{room}/../a"), history(channel="{room}/../a")),
    case("a name of 200 characters", publish(channel="n" * 200)),
    refused("a name of 201 characters", "invalid_channel", channel="n" * 201),
    refused("an empty name", "invalid_channel", channel=""),
    refused("a name with a plus", "invalid_channel", channel="a+b"),
    refused("a name with an escaped space", "invalid_channel", channel="a%20b"),
    refused("a name with an escaped NUL", "invalid_channel", channel="a%00b"),
    refused("a name with an escaped line end", "invalid_channel", channel="a%0d%0ab"),
    refused("a name with an escaped percent", "invalid_channel", channel="a%2541"),
    refused("a name with an escape of no digits", "invalid_channel", channel="a%zzb"),
    refused("a name with half an escape", "invalid_channel", channel="a%4"),
    refused("a name that ends in a percent", "invalid_channel", channel="a%"),
    refused("a name that is not UTF-8", "invalid_channel", channel="a%ff"),
    refused("a name with an overlong slash", "invalid_channel", channel="a%c0%af"),
    refused("a name with a surrogate", "invalid_channel", channel="a%ed%a0%80"),
    refused("a name in UTF-8", "invalid_channel", channel="%D0%BA"),
    refused("a name with a quote", "invalid_channel", channel="a%22b%5C"),
    refused("a name with a star", "invalid_channel", channel="a*"),
    refused("an app id that is too long", "invalid_app", app="a" * 65),
    refused("an app id with a dot", "invalid_app", app="a.b"),
    refused("an app id that is escaped and wrong", "invalid_app", app="a%20b"),
    refused("an app id that is not UTF-8", "invalid_app", app="a%ff"),
    case("an app id that is escaped", publish(app="%64emo")),
    case("an empty app id", Request("POST", "/apps//channels/a/publish", 400, "invalid_app", (), EVENT)),
]

KEYS = [
    refused("no key", "unauthorized", 401, key=None),
    refused("an unknown key", "unauthorized", 401, key="nobody's"),
    refused("an empty key", "unauthorized", 401, key=""),
    refused("the key of another app", "unauthorized", 401, key="other-key"),
    refused("the key of development", "unauthorized", 401, key="valid_key_demo"),
    refused("a key without the scope", "forbidden", 403, key="reader-key"),
    refused("an unknown app", "unauthorized", 401, app="nobody"),
    refused("a very long key", "unauthorized", 401, key="k" * 5000),
    case("a key with the scope", publish(key="writer-key"), history()),
    case("a key with spaces around it", publish(key="  writer-key \t")),
    case("a key outside ASCII", publish(key="ключ")),
    case("a key twice", publish(401, "unauthorized", key="full-key", fields=(JSON, ("X-API-Key", "full-key")))),
    case("a name in other letters", publish(key=None, fields=(("x-ApI-kEy", "full-key"), JSON))),
    case(
        "a wrong key goes before a wrong body",
        publish(401, "unauthorized", key="x", body=b"{", fields=(("Content-Type", "text/plain"),)),
    ),
    case("a wrong name goes before a wrong key", publish(400, "invalid_channel", key="x", channel="a+b")),
]

BODIES = [
    refused("no body", "invalid_json", body=None),
    refused("an empty body", "invalid_json", body=b""),
    refused("an empty body in chunks", "invalid_json", body=[]),
    refused("only spaces", "invalid_json", body=b"  \n"),
    refused("an object that does not end", "invalid_json", body=EVENT[:-1]),
    refused("a byte too many", "invalid_json", body=EVENT + b"x"),
    refused("a comma too many", "invalid_json", body=b'{"type":"m","data":[1,]}'),
    refused("a byte order mark", "invalid_json", body=b"\xef\xbb\xbf" + EVENT),
    refused("invalid UTF-8", "invalid_json", body=b'{"type":"m","data":"\xff"}'),
    refused("a control character", "invalid_json", body=b'{"type":"m","data":"\x01"}'),
    refused("a lone surrogate", "invalid_json", body=b'{"type":"m","data":"\\ud800"}'),
    refused("nested too deep", "invalid_json", body=b'{"type":"m","data":' + b"[" * 65 + b"]" * 65 + b"}"),
    refused("a leading zero", "invalid_json", body=b'{"type":"m","data":01}'),
    refused("NaN", "invalid_json", body=b'{"type":"m","data":NaN}'),
    refused("single quotes", "invalid_json", body=b"{'type':'m','data':1}"),
    refused("no object", "invalid_event", body=b"[]"),
    refused("null", "invalid_event", body=b"null"),
    refused("no type", "invalid_event", body=b'{"data":1}'),
    refused("no data", "invalid_event", body=b'{"type":"m"}'),
    refused("a type that is a number", "invalid_event", body=b'{"type":1,"data":1}'),
    refused("an empty type", "invalid_event", body=b'{"type":"","data":1}'),
    refused("a member twice", "invalid_event", body=b'{"type":"m","type":"n","data":1}'),
    refused("a member that is not known", "invalid_event", body=b'{"type":"m","data":1,"more":2}'),
    case("the largest body", publish(channel="small:a", body=EVENT.ljust(128)), history(channel="small:a")),
    refused("a body one byte too large", "payload_too_large", 413, channel="small:a", body=EVENT.ljust(129)),
    refused("chunks too large", "payload_too_large", 413, channel="small:a", body=[EVENT, b" " * 64, b" " * 64]),
    refused("a body far too large", "payload_too_large", 413, body=EVENT.ljust(65537)),
    case("a body in chunks", publish(body=[EVENT[:1], EVENT[1:20], EVENT[20:]]), history()),
    case("chunks that just fit", publish(channel="small:b", body=[EVENT, b" " * (128 - len(EVENT))])),
    case(
        "data is kept byte for byte",
        publish(body=b' { "data" : [ 1E400 , -0.0,12345678901234567890123456789 ] , "type":"m"}\r\n'),
        publish(body=b'{"type":"m","data":"\\u00e9 \\/ \\uD83D\\uDE00 \xf0\x9f\x98\x80 \\n\x7f"}'),
        publish(body=b'{"type":"t\\u00e9\xc3\xa9","data":{"a":1,"a":2}}'),
        publish(body=b'{"type":"m","data":null}'),
        history(),
    ),
]

TYPES = [
    case(f"the content type {value or 'that is empty'}", publish(fields=(("Content-Type", value),)), history())
    for value in (
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf8; other=1",
        "application/cloudevents+json",
        "",
    )
]
TYPES += [
    refused(f"the content type {value}", "unsupported_media_type", 415, fields=(("Content-Type", value),))
    for value in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/x-ndjson",
        "multipart/form-data; boundary=x",
        "text/x+json",
        "application/json; charset=latin-1",
        "application/json, application/json",
        "application/jsonx",
        "json",
    )
]
TYPES += [
    case("no content type", publish(fields=()), history()),
    case("the coding identity", publish(fields=(JSON, ("Content-Encoding", "identity")))),
    refused("the coding gzip", "unsupported_media_type", 415, fields=(JSON, ("Content-Encoding", "gzip"))),
    refused("two codings", "unsupported_media_type", 415, fields=(JSON, ("Content-Encoding", "identity, br"))),
]


def keyed(key: str, status: int = 200, code: str = "", body: bytes = EVENT, channel: str = "{room}") -> Request:
    return publish(status, code, body=body, channel=channel, fields=(JSON, ("Idempotency-Key", key)))


IDEMPOTENCY = [
    case("a replay", keyed("a"), keyed("a"), history()),
    case("another key", keyed("a"), keyed("b"), history()),
    case("another body", keyed("a"), keyed("a", 422, "idempotency_mismatch", body=EVENT.lower()), history()),
    case("the same event between other spaces", keyed("a"), keyed("a", body=b" " + EVENT + b"\n"), history()),
    case("the same key in another channel", keyed("a"), keyed("a", channel="{room}/b")),
    case("an empty idempotency key", keyed(""), keyed(""), history()),
    case("a key of 255 characters", keyed("k" * 255), keyed("k" * 255)),
    case("a key that is too long", keyed("k" * 256, 400, "invalid_parameter"), history()),
    case("an idempotency key outside ASCII", keyed("ключ", 400, "invalid_parameter"), history()),
    case("a key with a tab in it", keyed("a\tb"), keyed("a\tb"), keyed("a b")),
    case("a refused body takes no key", keyed("a", 400, "invalid_json", body=b"{"), keyed("a"), history()),
]

CASES = NAMES + KEYS + BODIES + TYPES + IDEMPOTENCY
