"""`polyglot doctor`: find out what is in the way."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from polyglot_gateway.cli.doctor_checks import examine

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check everything the gateway needs; exit status 1 when something is missing."""
    findings = examine()
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings]))
    else:
        table = Table("check", "", "what was found", "how to mend it")
        for finding in findings:
            colour = COLOURS[finding.level]
            table.add_row(finding.check, f"[{colour}]{finding.level}[/]", escape(finding.found), escape(finding.mend))
        Console().print(table)
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)
