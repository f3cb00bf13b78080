"""Requests that are no HTTP/1.1 (RFC 9110, RFC 9112), or more of it than a server takes."""

from dataclasses import dataclass

EVENT = b'{"type":"message","data":{"text":"Hello"}}'
HEAD = b"POST /apps/demo/channels/malformed/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: full-key\r\n"
GET = b"GET /alive HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

INVALID = (400, "invalid_request")
TOO_LONG = (414, "uri_too_long")
TOO_LARGE = (431, "headers_too_large")


@dataclass(frozen=True)
class Malformed:
    """Bytes, and the status and code of the answer, after which the connection is closed."""

    name: str
    sent: bytes
    answer: tuple[int, str] = INVALID

    def __str__(self) -> str:
        return self.name


def post(*lines: bytes, body: bytes = EVENT) -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def get(*lines: bytes) -> bytes:
    return GET + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def line(text: bytes) -> bytes:
    return text + b"\r\nHost: a\r\n\r\n"


LENGTH = b"Content-Length: %d" % len(EVENT)
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVENT), EVENT)

MALFORMED = [
    # The message's length, in which two readers must not differ (RFC 9112, section 6.3).
    Malformed("two equal lengths", post(LENGTH, LENGTH)),
    Malformed("two different lengths", post(LENGTH, b"Content-Length: 1")),
    Malformed("a list of lengths", post(b"Content-Length: 42, 42")),
    Malformed("a length with a sign", post(b"Content-Length: +42")),
    Malformed("a negative length", post(b"Content-Length: -1")),
    Malformed("a length in hex", post(b"Content-Length: 0x2a")),
    Malformed("a length with a space in it", post(b"Content-Length: 4 2")),
    Malformed("an empty length", post(b"Content-Length:")),
    Malformed("a length in other digits", post("Content-Length: ٤٢".encode())),
    Malformed("a length beyond 64 bits", post(b"Content-Length: 18446744073709551658")),
    Malformed("a length and chunks", post(LENGTH, b"Transfer-Encoding: chunked", body=CHUNKS)),
    Malformed("chunks and a length", post(b"Transfer-Encoding: chunked", LENGTH, body=CHUNKS)),
    Malformed("an unknown coding", post(b"Transfer-Encoding: cow", body=CHUNKS)),
    Malformed("a coding before chunked", post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS)),
    Malformed("chunked before a coding", post(b"Transfer-Encoding: chunked, gzip", body=CHUNKS)),
    Malformed("chunked twice", post(b"Transfer-Encoding: chunked, chunked", body=CHUNKS)),
    Malformed("chunked in two fields", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=CHUNKS)),
    Malformed("an empty coding", post(b"Transfer-Encoding:", body=CHUNKS)),
    Malformed("chunked with a tab in it", post(b"Transfer-Encoding: chun\tked", body=CHUNKS)),
    Malformed("chunked in quotes", post(b'Transfer-Encoding: "chunked"', body=CHUNKS)),
    Malformed("chunks in HTTP/1.0", post(b"Transfer-Encoding: chunked", body=CHUNKS).replace(b"HTTP/1.1", b"HTTP/1.0")),
    Malformed("a space before the colon of the length", post(b"Content-Length : 42")),
    # Chunks.
    Malformed("a chunk without a size", CHUNKED + b"\r\n"),
    Malformed("a chunk size of no digits", CHUNKED + b"zz\r\n"),
    Malformed("a chunk size with a sign", CHUNKED + b"-1\r\n"),
    Malformed("a chunk size with 0x", CHUNKED + b"0x2a\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    Malformed("a chunk size beyond 64 bits", CHUNKED + b"1000000000000002a\r\n" + EVENT + b" " * 66_000),
    Malformed("a chunk that is longer than its size", CHUNKED + b"1\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    Malformed("a chunk that ends in LF", CHUNKED + b"2a\r\n" + EVENT + b"\n0\r\n\r\n"),
    Malformed("a chunk size that ends in LF", CHUNKED + b"2a\n" + EVENT + b"\r\n0\r\n\r\n"),
    Malformed("a chunk size with a space before it", CHUNKED + b" 2a\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    # Lines and fields.
    Malformed("a bare LF after the request line", b"GET /alive HTTP/1.1\nHost: a\r\n\r\n"),
    Malformed("a bare LF after a field", get(b"X-A: b\nX-C: d")),
    Malformed("only LFs", get().replace(b"\r\n", b"\n")),
    Malformed("a bare CR in a field", get(b"X-A: b\rX-C: d")),
    Malformed("a bare CR in the target", line(b"GET /al\rive HTTP/1.1")),
    Malformed("a space before the colon", get(b"X-A : b")),
    Malformed("a tab before the colon", get(b"X-A\t: b")),
    Malformed("a folded field", get(b"X-A: b", b" c")),
    Malformed("a field folded by a tab", get(b"X-A: b", b"\tc")),
    Malformed("a first field with a space before it", b"GET /alive HTTP/1.1\r\n Host: a\r\n\r\n"),
    Malformed("a field without a colon", get(b"nothing")),
    Malformed("a field without a name", get(b": b")),
    Malformed("a field whose name is no token", get(b"X(A): b")),
    Malformed("a field whose name is not ASCII", get("ключ: b".encode())),
    Malformed("a NUL in a field", get(b"X-A: b\0c")),
    Malformed("a NUL in a name", get(b"X-A\0: b")),
    Malformed("a control character in a field", get(b"X-A: b\x01c")),
    Malformed("a NUL in the target", line(b"GET /al\0ive HTTP/1.1")),
    Malformed("a NUL before the method", b"\0" + get()),
    Malformed("no Host", b"GET /alive HTTP/1.1\r\n\r\n"),
    Malformed("two Hosts", get(b"Host: b")),
    Malformed("the same Host twice", get(b"Host: a")),
    # The request line.
    Malformed("no target", line(b"GET HTTP/1.1")),
    Malformed("no version", line(b"GET /alive")),
    Malformed("two spaces before the target", line(b"GET  /alive HTTP/1.1")),
    Malformed("a space in the target", line(b"GET /al ive HTTP/1.1")),
    Malformed("a tab in place of a space", line(b"GET\t/alive HTTP/1.1")),
    Malformed("a method that is no token", line(b"G(T /alive HTTP/1.1")),
    Malformed("a space before the method", line(b" GET /alive HTTP/1.1")),
    Malformed("HTTP/2.0", line(b"GET /alive HTTP/2.0")),
    Malformed("HTTP/0.9", line(b"GET /alive HTTP/0.9")),
    Malformed("HTTP/1.10", line(b"GET /alive HTTP/1.10")),
    Malformed("http/1.1", line(b"GET /alive http/1.1")),
    Malformed("a version of letters", line(b"GET /alive HTTP/x.y")),
    Malformed("a target outside ASCII", line("GET /ключ HTTP/1.1".encode())),
    Malformed("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Malformed("the hello of TLS", bytes.fromhex("16030100a5010000a10303") + bytes(range(154)) + b"\r\n\r\n"),
    Malformed("the greeting of SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    # Limits: a request line of 4094 bytes, 64 fields, 8190 bytes of a field.
    Malformed("a request line that is too long", line(b"GET /" + b"a" * 5000 + b" HTTP/1.1"), TOO_LONG),
    Malformed("a request line without an end", b"GET /" + b"a" * 20_000, TOO_LONG),
    Malformed("a method without an end", b"A" * 20_000, TOO_LONG),
    Malformed("a field that is too long", get(b"X-A: " + b"b" * 9000), TOO_LARGE),
    Malformed("a field name that is too long", get(b"X-" + b"a" * 9000 + b": b"), TOO_LARGE),
    Malformed("too many fields", get(*(b"X-%d: b" % number for number in range(64))), TOO_LARGE),
    Malformed(
        "fields that are too large together", get(*(b"X-%d: %s" % (n, b"b" * 8000) for n in range(60))), TOO_LARGE
    ),
]
