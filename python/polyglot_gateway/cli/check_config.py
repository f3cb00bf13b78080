"""`polyglot check-config`: what the gateway would start with."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def check_config(
    as_json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
) -> None:
    """Print every setting with its effective value, or what is wrong; exit status 1 when something is."""
    from polyglot_gateway.settings import load_settings

    values = load_settings().shown()
    if as_json:
        print(json.dumps(values))
        return
    table = Table("setting", "value")
    for name, value in values.items():
        table.add_row(name, escape(value if isinstance(value, str) else json.dumps(value)))
    Console().print(table)
