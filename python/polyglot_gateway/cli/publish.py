"""`polyglot publish`: send one event."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from polyglot_gateway.cli.client import DEFAULT_URL, App, AsJson, Channel, Client, Key, Url, fail


def publish(
    app: App,
    channel: Channel,
    data: Annotated[str, typer.Argument(help="Any JSON; - reads it from stdin.")] = "-",
    type_: Annotated[str, typer.Option("--type", help="The event's type.")] = "message",
    url: Url = DEFAULT_URL,
    key: Key = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Sending again with the same key within five minutes adds no second event.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish one event, and print its id, offset and epoch, or that it is spooled.

    Data that begins with a dash goes after two: polyglot publish demo-app room:test -- -1
    """
    if data == "-":
        data = sys.stdin.read()
    try:
        json.loads(data)
    except ValueError as error:
        fail(f"DATA is not JSON ({error}); a text needs its quotes, such as '\"hello\"'")
    # Spliced, not encoded again: the gateway keeps data byte for byte.
    body = f'{{"type":{json.dumps(type_)},"data":{data}}}'.encode(errors="surrogateescape")
    headers = {"Content-Type": "application/json"}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    answer, ack = Client(url, app, channel, key).ask("POST", "publish", body, headers)
    place = "spooled" if "spooled" in ack else f"offset {ack['offset']} epoch {ack['epoch']}"
    print(answer.decode() if as_json else f"{ack['id']} {place}")
