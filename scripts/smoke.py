"""Checks every endpoint of a running development gateway, one line for each.

Usage: smoke.py http://localhost:4000. Standard library only, so that it can be run from anywhere.
"""

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

APP = "smoke-test"
KEY = f"valid_key_{APP}"
CHANNEL = f"/apps/{APP}/channels/room:{time.time_ns()}"
CHANNEL_NAME = CHANNEL.rpartition("/")[2]
EVENT = {"type": "message", "data": {"text": "Hello"}}


class Answer:
    """What came back."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Smoke:
    """The checks, and how many of them failed."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self.failed = 0

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own."""
        return http.client.HTTPConnection(self._host, timeout=10)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request; names of headers have _ for -."""
        sent = {"X-API-Key": KEY, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = self.connect()
        try:
            encoded = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, encoded, sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def follow(self, query: str = "", **headers: str) -> Iterator[dict[str, str]]:
        """The blocks of an event stream that have data."""
        connection = self.connect()
        try:
            connection.request(
                "GET", f"{CHANNEL}/events{query}", headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            response = connection.getresponse()
            assert response.status == 200, f"status {response.status}"
            block: dict[str, str] = {}
            for line in response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    block[name] = value
                elif "data" in block:
                    yield block
                    block = {}
                else:
                    block = {}
        finally:
            connection.close()

    def check(self, name: str, question: Callable[[], Any]) -> None:
        """Ask, and print whether what is asserted there held."""
        try:
            question()
        except (AssertionError, OSError, http.client.HTTPException, ValueError, KeyError, StopIteration) as error:
            self.failed += 1
            print(f"  FAIL  {name}: {type(error).__name__} {error}")
        else:
            print(f"  ok    {name}")

    def expect(self, status: int, code: str, method: str, path: str, body: Any = None, **headers: str) -> None:
        """Check that a request is refused with this status and code."""

        def question() -> None:
            answer = self.ask(method, path, body, **headers)
            assert (answer.status, answer.json()["code"]) == (status, code), f"{answer.status} {answer.body[:200]!r}"
            assert answer.headers["Content-Type"] == "application/problem+json"

        self.check(f"{status} {code}", question)


def check_operations(smoke: Smoke) -> None:
    """What operators and their tools ask."""

    def is_200(path: str, contains: bytes) -> None:
        answer = smoke.ask("GET", path)
        assert answer.status == 200, f"status {answer.status}"
        assert contains in answer.body, answer.body[:200]

    for path, contains in (
        ("/alive", b"alive"),
        ("/ready", b"ready"),
        ("/health", b'"status"'),
        ("/metrics", b"polyglot_"),
        ("/openapi.json", b'"openapi": "3.1'),
        ("/api/debug/circuit-breaker", b"closed"),
        ("/console", b"<!doctype html>"),
    ):
        smoke.check(f"GET {path}", lambda path=path, contains=contains: is_200(path, contains))


def check_publishing(smoke: Smoke) -> None:
    """Six events, offsets 1 to 6."""

    def publish() -> None:
        ack = smoke.ask("POST", f"{CHANNEL}/publish", EVENT).json()
        assert set(ack) == {"id", "timestamp", "offset", "epoch"}, ack
        assert ack["offset"] == 1

    def twice() -> None:
        first, again = (smoke.ask("POST", f"{CHANNEL}/publish", EVENT, Idempotency_Key="once") for _ in range(2))
        assert first.body == again.body
        assert again.headers["Idempotency-Replayed"] == "true"

    def batch() -> None:
        events = [{"channel": CHANNEL_NAME, **EVENT}, {"channel": "no good", **EVENT}]
        good, bad = smoke.ask("POST", f"/apps/{APP}/publish", {"events": events}).json()["results"]
        assert (good["offset"], bad["code"]) == (3, "invalid_channel")

    def lines() -> None:
        line = json.dumps({"channel": CHANNEL_NAME, **EVENT}).encode()
        answer = smoke.ask("POST", f"/apps/{APP}/publish", line + b"\n" + line, Content_Type="application/x-ndjson")
        assert [result["offset"] for result in answer.json()["results"]] == [4, 5]

    def broadcast() -> None:
        answer = smoke.ask("POST", f"/apps/{APP}/broadcast", {"channels": [CHANNEL_NAME, "room:other"], **EVENT})
        assert answer.json()["results"][0]["offset"] == 6

    smoke.check("publish", publish)
    smoke.check("publish twice with one Idempotency-Key", twice)
    smoke.check("batch, with one event refused", batch)
    smoke.check("batch as NDJSON", lines)
    smoke.check("broadcast", broadcast)


def check_reading(smoke: Smoke) -> None:
    """What was published can be read in every way."""

    def history(query: str, offsets: list[int]) -> None:
        page = smoke.ask("GET", f"{CHANNEL}/history{query}").json()
        assert [event["offset"] for event in page["events"]] == offsets, page
        assert page["gap"] is None

    def lists() -> None:
        assert smoke.ask("GET", CHANNEL).json()["last_offset"] == 6
        names = [info["channel"] for info in smoke.ask("GET", f"/apps/{APP}/channels?limit=1000").json()["channels"]]
        assert CHANNEL_NAME in names

    def resumes() -> None:
        stream = smoke.follow("?since=0")
        assert [json.loads(next(stream)["data"])["offset"] for _ in range(2)] == [1, 2]
        position = next(stream)["id"]
        stream.close()
        stream = smoke.follow(Last_Event_ID=position)
        assert [json.loads(next(stream)["data"])["offset"] for _ in range(3)] == [4, 5, 6]
        smoke.ask("POST", f"{CHANNEL}/publish", EVENT)
        assert json.loads(next(stream)["data"])["offset"] == 7
        stream.close()

    def gap() -> None:
        stream = smoke.follow(Last_Event_ID="0123456789abcdef:3")
        block = next(stream)
        assert (block["event"], json.loads(block["data"])["reason"]) == ("gap", "epoch_changed")
        stream.close()

    smoke.check("history", lambda: history("", [1, 2, 3, 4, 5, 6]))
    smoke.check(
        "history with limit, since, until, reverse", lambda: history("?since=1&until=5&limit=2&reverse=true", [5, 4])
    )
    smoke.check("channel list and channel", lists)
    smoke.check("events: from the start, resumed by Last-Event-ID, then live", resumes)
    smoke.check("events: a gap is said", gap)


def check_errors(smoke: Smoke) -> None:
    """Each error that a client can cause."""
    publish = f"{CHANNEL}/publish"
    smoke.expect(400, "invalid_json", "POST", publish, b'{"type":')
    smoke.expect(400, "invalid_event", "POST", publish, {"type": "message"})
    smoke.expect(400, "invalid_channel", "POST", f"/apps/{APP}/channels/no%20good/publish", EVENT)
    smoke.expect(400, "invalid_parameter", "GET", f"{CHANNEL}/history?limit=0")
    smoke.expect(401, "unauthorized", "POST", publish, EVENT, X_API_Key="wrong")
    smoke.expect(404, "not_found", "GET", "/nowhere")
    smoke.expect(405, "method_not_allowed", "PUT", publish, EVENT)
    smoke.expect(413, "payload_too_large", "POST", publish, b" " * (1 << 20) + b"{}")
    smoke.expect(415, "unsupported_media_type", "POST", publish, b"<event/>", Content_Type="text/xml")
    smoke.expect(422, "idempotency_mismatch", "POST", publish, {"type": "other", "data": 1}, Idempotency_Key="once")


def check_forgetting(smoke: Smoke) -> None:
    """The past can be dropped."""

    def forget() -> None:
        before = smoke.ask("GET", CHANNEL).json()["epoch"]
        after = smoke.ask("DELETE", f"{CHANNEL}/history").json()["epoch"]
        assert before != after
        assert smoke.ask("GET", f"{CHANNEL}/history").json()["count"] == 0

    smoke.check("DELETE history gives a new epoch", forget)


def main() -> int:
    """Run all checks; returns the exit status."""
    smoke = Smoke(sys.argv[1])
    for group in (check_operations, check_publishing, check_reading, check_errors, check_forgetting):
        group(smoke)
    if smoke.failed:
        print(f"{smoke.failed} checks failed")
    return 1 if smoke.failed else 0


if __name__ == "__main__":
    sys.exit(main())
