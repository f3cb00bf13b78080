"""`polyglot tail`: follow a channel."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer

from polyglot_gateway.cli.client import DEFAULT_URL, App, AsJson, Channel, Client, Key, Url, fail, refusal
from polyglot_gateway.cli.history import describe_gap
from polyglot_gateway.cli.sse import ServerSentEvent, parse_events

SILENCE_SECONDS = 40.0
"""The gateway sends a comment every 15 seconds; after two that did not come the connection is dead."""

RECONNECT_SECONDS = 1.0


def tail(
    app: App,
    channel: Channel,
    since: Annotated[int | None, typer.Option(help="Begin after this offset; 0 for all that is kept.")] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Print events as they come until Ctrl-C; resumes after an interruption and says what could not be recovered."""
    client = Client(url, app, channel, key, timeout=SILENCE_SECONDS)
    try:
        for event in _follow(client, since):
            _show(event, as_json)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _follow(client: Client, since: int | None) -> Iterator[ServerSentEvent]:
    """Yield the channel's events, over as many connections as it takes.

    A generator, because what goes wrong with its consumer's output must not be taken for a lost connection.
    """
    position = ""
    connected_before = False
    while True:
        try:
            response = client.open(
                "GET",
                "events" if since is None or position else f"events?since={since}",
                headers={"Accept": "text/event-stream", **({"Last-Event-ID": position} if position else {})},
            )
            if response.status != 200:
                _refused(response, connected_before)
            else:
                connected_before = True
                for event in parse_events(response):
                    position = event.id or position
                    yield event
        except (OSError, http.client.HTTPException) as error:
            if not connected_before:
                fail(client.unreachable(error))
        print(f"polyglot: connection lost; resuming at {position or 'the newest event'}", file=sys.stderr)
        time.sleep(RECONNECT_SECONDS)


def _refused(response: http.client.HTTPResponse, connected_before: bool) -> None:
    """End the command, unless the gateway that answered before cannot at the moment."""
    answer = response.read()
    if not (connected_before and response.status == 503):
        fail(refusal(response.status, answer))


def _show(event: ServerSentEvent, as_json: bool) -> None:
    if not event.data:
        return
    if event.type == "gap":
        print(describe_gap(json.loads(event.data)), file=sys.stderr, flush=True)
    elif as_json:
        print(event.data, flush=True)
    else:
        envelope = json.loads(event.data)
        data = json.dumps(envelope["data"], ensure_ascii=False)
        print(f"{envelope['offset']:>6}  {envelope['meta']['ts']}  {envelope['type']}  {data}", flush=True)
