"""`polyglot history`: show a channel's past."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from polyglot_gateway.cli.client import DEFAULT_URL, App, AsJson, Channel, Client, Key, Url


def history(
    app: App,
    channel: Channel,
    limit: Annotated[int, typer.Option(help="At most so many events, 1 to 1000.")] = 100,
    since: Annotated[int | None, typer.Option(help="Only events after this offset.")] = None,
    until: Annotated[int | None, typer.Option(help="Only events up to this offset.")] = None,
    reverse: Annotated[bool, typer.Option(help="Newest first.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show the events that a channel keeps, oldest first, and what is missing."""
    wanted: dict[str, int | str | None] = {
        "limit": limit,
        "since": since,
        "until": until,
        "reverse": "true" if reverse else None,
    }
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    answer, page = Client(url, app, channel, key).ask("GET", f"history?{query}")
    if as_json:
        print(answer.decode())
        return
    table = Table("offset", "timestamp", "type", "data", title=f"{app} {channel}, epoch {page['epoch']}")
    for event in page["events"]:
        data = json.dumps(event["data"], ensure_ascii=False)
        table.add_row(str(event["offset"]), event["meta"]["ts"], escape(event["type"]), escape(data))
    console = Console()
    console.print(table)
    if page["gap"] is not None:
        console.print(describe_gap(page["gap"]), style="yellow", markup=False)


def describe_gap(gap: dict[str, int | str]) -> str:
    """Say in one line which events will not come, and why."""
    if gap["to"] == 0:
        return f"gap: the position is no longer good ({gap['reason']}); what was missed is not known"
    return f"gap: events {gap['from']} to {gap['to']} are gone ({gap['reason']})"
