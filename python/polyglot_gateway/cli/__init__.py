"""The command `polyglot`: one module per subcommand.

Commands import the core, the settings and gunicorn only when they run: `doctor` has to work where these do not load,
and `publish` should not wait for them.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated

import typer

from polyglot_gateway.cli.check_config import check_config
from polyglot_gateway.cli.doctor import doctor
from polyglot_gateway.cli.history import history
from polyglot_gateway.cli.keys import keys
from polyglot_gateway.cli.processor import processor
from polyglot_gateway.cli.publish import publish
from polyglot_gateway.cli.serve import serve
from polyglot_gateway.cli.tail import tail
from polyglot_gateway.errors import GatewayError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (serve, processor, publish, history, tail, check_config, doctor):
    app.command()(command)
app.add_typer(keys)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"polyglot {importlib.metadata.version('polyglot-gateway')}")
        raise typer.Exit


@app.callback()
def polyglot(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A self-hosted realtime event gateway."""


def main() -> None:
    """Run the command line; an error of ours becomes one line on stderr for each thing wrong, and exit status 1."""
    try:
        app()
    except GatewayError as error:
        for line in error.message.splitlines():
            print(f"polyglot: {line}", file=sys.stderr)
        sys.exit(1)
