"""`polyglot keys`: make API keys, and the blocks that polyglot.toml keeps of them."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from typing import Annotated, get_args

import typer

from polyglot_gateway.cli.client import App, fail

keys = typer.Typer(name="keys", no_args_is_help=True, help="Make API keys and their blocks for polyglot.toml.")

Name = Annotated[str, typer.Option(help="What to call the key in polyglot.toml.")]
Scopes = Annotated[
    list[str], typer.Option("--scope", help="publish, history, subscribe, admin or presence; may be repeated.")
]

DEFAULT_SCOPES = ["publish", "history", "subscribe"]


@keys.command()
def generate(app: App, name: Name = "default", scope: Scopes = DEFAULT_SCOPES) -> None:
    """Make a new key of an app: its block for polyglot.toml goes to stdout, the key itself to stderr, once.

    The gateway keeps the key's digest only. Add the block to the file: polyglot keys generate APP >>polyglot.toml
    """
    key = "pg_" + secrets.token_urlsafe(32)
    block = _block(app, key, name, scope)
    print(f"The key, which is not shown again: {key}", file=sys.stderr)
    print(block)


@keys.command("hash")
def hash_(app: App, name: Name = "default", scope: Scopes = DEFAULT_SCOPES) -> None:
    """Print the block for polyglot.toml of the key on stdin."""
    key = sys.stdin.readline().strip()
    if not key:
        fail("no key came from stdin; try: echo KEY | polyglot keys hash APP")
    print(_block(app, key, name, scope))


def _block(app: str, key: str, name: str, scopes: list[str]) -> str:
    """Return the TOML of a key; it may follow what a file holds, and other keys of the same app, as it is.

    Raises:
        InvalidApp: `app` cannot be an app's id.
    """
    from polyglot_gateway import _core
    from polyglot_gateway.settings import Scope

    _core.check_app(app)
    for scope in scopes:
        if scope not in get_args(Scope):
            fail(f"--scope is {scope!r}; allowed are {', '.join(get_args(Scope))}")
    if not name.isprintable():
        fail(f"--name is {name!r}; it has to be printable")
    # Printable text and lists of it are the same in JSON and in TOML.
    values = {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "scopes": scopes}
    lines = [f"{member} = {json.dumps(value, ensure_ascii=False)}" for member, value in values.items()]
    return "\n".join(["", f"[[apps.{json.dumps(app)}.keys]]", *lines])
