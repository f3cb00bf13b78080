"""`polyglot keys`: make API keys, and the digests that polyglot.toml keeps of them."""

from __future__ import annotations

import hashlib
import secrets
import sys
from typing import Annotated

import typer

from polyglot_gateway.cli.client import fail

keys = typer.Typer(name="keys", no_args_is_help=True, help="Make API keys and their digests.")

Name = Annotated[str, typer.Option(help="What to call the key in polyglot.toml.")]
Scopes = Annotated[list[str], typer.Option("--scope", help="publish, history, subscribe or admin; may be repeated.")]

SCOPES = ("publish", "history", "subscribe", "admin")
DEFAULT_SCOPES = ["publish", "history", "subscribe"]


@keys.command()
def generate(name: Name = "default", scope: Scopes = DEFAULT_SCOPES) -> None:
    """Make a new key and print it, once: the gateway keeps its digest only."""
    key = "pg_" + secrets.token_urlsafe(32)
    print(f"key     {key}")
    _print_digest(key, name, scope)


@keys.command("hash")
def hash_(name: Name = "default", scope: Scopes = DEFAULT_SCOPES) -> None:
    """Print the digest of the key on stdin."""
    key = sys.stdin.readline().strip()
    if not key:
        fail("no key came from stdin; try: echo KEY | polyglot keys hash")
    _print_digest(key, name, scope)


def _print_digest(key: str, name: str, scopes: list[str]) -> None:
    for scope in scopes:
        if scope not in SCOPES:
            fail(f"--scope is {scope!r}; allowed are {', '.join(SCOPES)}")
    digest = hashlib.sha256(key.encode()).hexdigest()
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    print(f"sha256  {digest}")
    print(f'toml    keys = [{{ name = "{name}", sha256 = "{digest}", scopes = [{listed}] }}]')
