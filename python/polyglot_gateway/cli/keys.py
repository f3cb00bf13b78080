"""`polyglot keys`: make, list, rotate and revoke API keys, of which polyglot.toml keeps the digests."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from polyglot_gateway.cli.client import App, fail

if TYPE_CHECKING:
    from polyglot_gateway.settings import KeySettings

keys = typer.Typer(name="keys", no_args_is_help=True, help="Make, list, rotate and revoke API keys in polyglot.toml.")

Name = Annotated[str, typer.Option(help="What to call the key in polyglot.toml.")]
Named = Annotated[str, typer.Argument(metavar="NAME", help="The key's name, or the beginning of its digest.")]
Scopes = Annotated[
    list[str], typer.Option("--scope", help="publish, history, subscribe, admin or presence; may be repeated.")
]
Expires = Annotated[
    str | None,
    typer.Option(help="When it ends: 2027-01-31 (the last day), 2027-01-31T12:00:00Z, 90d (from now) or never."),
]
Config = Annotated[str | None, typer.Option("--config", help="The toml file.", show_default="polyglot.toml")]

DEFAULT_SCOPES = ["publish", "history", "subscribe"]
SHOWN_DIGITS = 12
"""Of a digest, by which a key can be named too."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@keys.command()
def generate(
    app: App,
    name: Name = "default",
    scope: Scopes = DEFAULT_SCOPES,
    expires: Expires = None,
    save: Annotated[bool, typer.Option("--save", help="Add it to polyglot.toml.")] = False,
    config: Config = None,
) -> None:
    """Make a new key of an app: its block for polyglot.toml goes to stdout, the key itself to stderr, once.

    The gateway keeps the key's digest only. Add the block to the file: polyglot keys generate APP >>polyglot.toml

    With --save the block goes into the file, and the key to stdout.
    """
    key = _new_key()
    settings = _settings(app, key, name, scope, _end(expires))
    if save:
        from polyglot_gateway.cli import key_file

        with key_file.changing(key_file.find(config), app) as change:
            if any(known.name == name and not _is_over(known) for known in change.keys):
                fail(f"the app has a key called {name!r}; rotate it, or choose another --name")
            change.add(settings)
        _saved(key)
        return
    print(f"The key, which is not shown again: {key}", file=sys.stderr)
    _print_block(app, settings)


@keys.command("hash")
def hash_(app: App, name: Name = "default", scope: Scopes = DEFAULT_SCOPES, expires: Expires = None) -> None:
    """Print the block for polyglot.toml of the key on stdin."""
    key = sys.stdin.readline().strip()
    if not key:
        fail("no key came from stdin; try: echo KEY | polyglot keys hash APP")
    _print_block(app, _settings(app, key, name, scope, _end(expires)))


@keys.command("list")
def list_(
    app: Annotated[str | None, typer.Argument(help="Of this app only.", show_default="all")] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the keys in polyglot.toml: what each may do, and when it ends."""
    from polyglot_gateway.cli import key_file

    found: list[dict[str, Any]] = [
        {
            "app": name,
            "name": key.name,
            "digest": key.sha256[:SHOWN_DIGITS],
            "scopes": list(key.scopes),
            "expires": key.expires.isoformat() if key.expires else None,
            "expired": _is_over(key),
        }
        for name, settings in key_file.read(key_file.find(config)).items()
        for key in settings.keys
        if app in (None, name)
    ]
    if as_json:
        print(json.dumps(found))
        return
    table = Table("app", "name", "digest", "scopes", "expires")
    for each in found:
        ends = "never" if each["expires"] is None else f"{each['expires']}{' (over)' if each['expired'] else ''}"
        row = (each["app"], each["name"], each["digest"], " ".join(each["scopes"]), ends)
        table.add_row(*(escape(str(cell)) for cell in row))
    Console().print(table)


@keys.command()
def rotate(
    app: App,
    name: Named,
    grace: Annotated[
        str, typer.Option(help="How long the old key still holds, such as 90s, 30m, 24h, 7d or 0.")
    ] = "24h",
    expires: Expires = None,
    config: Config = None,
) -> None:
    """Make a new key with the name and the scopes of one in polyglot.toml, which ends after a while.

    The new key goes to stdout, once. What had ended before is taken out of the file.
    """
    from polyglot_gateway.cli import key_file

    now = datetime.now(UTC).replace(microsecond=0)
    old_end = now + _duration("--grace", grace)
    new_end = _end(expires)
    key = _new_key()
    with key_file.changing(key_file.find(config), app) as change:
        chosen = _chosen(change.keys, app, name)
        alive = [index for index in chosen if not _is_over(change.keys[index])]
        if not alive:
            fail(f"every key {name!r} of {app} has expired; make a new one with `polyglot keys generate {app} --save`")
        newest = change.keys[alive[-1]]
        if expires is None and newest.expires:
            fail("the key has an end; say with --expires when the new one ends, or --expires never")
        for index in chosen:
            if index not in alive or old_end <= now:
                change.remove(index)
            elif (end := change.keys[index].expires) is None or end > old_end:
                change.end(index, old_end)
        change.add(_settings(app, key, newest.name, list(newest.scopes), new_end))
    _saved(key)


@keys.command()
def revoke(app: App, name: Named, config: Config = None) -> None:
    """Take every key of that name, or the one with that digest, out of polyglot.toml."""
    from polyglot_gateway.cli import key_file

    path = key_file.find(config)
    with key_file.changing(path, app) as change:
        chosen = _chosen(change.keys, app, name)
        for index in chosen:
            change.remove(index)
        if not any(settings.keys for settings in change.result().values()):
            fail(
                "it is the last key of all; in production the gateway takes no file without keys, and the old one "
                f"would go on to hold. Make another first: polyglot keys generate {app} --name NAME --save"
            )
    print(f"{len(chosen)} taken out of {path}. {_SIGHUP}", file=sys.stderr)


_SIGHUP = "The gateway takes the file over at SIGHUP to its master."


def _saved(key: str) -> None:
    print(f"The key, which is not shown again, is on stdout. {_SIGHUP}", file=sys.stderr)
    print(key)


def _print_block(app: str, settings: KeySettings) -> None:
    from polyglot_gateway.cli import key_file

    print(key_file.block_of(app, settings), end="")


def _new_key() -> str:
    return "pg_" + secrets.token_urlsafe(32)


def _settings(app: str, key: str, name: str, scopes: list[str], expires: datetime | None) -> KeySettings:
    """What the file is to say of the key.

    Raises:
        InvalidApp: `app` cannot be an app's id.
    """
    from typing import get_args

    from polyglot_gateway import _core
    from polyglot_gateway.settings import KeySettings, Scope

    _core.check_app(app)
    for scope in scopes:
        if scope not in get_args(Scope):
            fail(f"--scope is {scope!r}; allowed are {', '.join(get_args(Scope))}")
    if not name.isprintable():
        fail(f"--name is {name!r}; it has to be printable")
    digest = hashlib.sha256(key.encode()).hexdigest()
    return KeySettings.model_validate({"name": name, "sha256": digest, "scopes": scopes, "expires": expires})


def _chosen(known: list[KeySettings], app: str, name: str) -> list[int]:
    """The places of the keys that are meant, at least one."""
    found = [index for index, key in enumerate(known) if key.name == name]
    if not found and len(name) >= SHOWN_DIGITS:
        found = [index for index, key in enumerate(known) if key.sha256.startswith(name.lower())]
    if not found:
        fail(f"{app} has no key called {name!r}; `polyglot keys list {app}` shows those that it has")
    return found


def _is_over(key: KeySettings) -> bool:
    return key.expires is not None and key.expires <= datetime.now(UTC)


def _end(text: str | None) -> datetime | None:
    """When a key ends; None for never."""
    from polyglot_gateway.settings_apps import parse_end

    if text is None or text == "never":
        return None
    if text[-1:] in _UNITS:
        return datetime.now(UTC).replace(microsecond=0) + _duration("--expires", text)
    try:
        end = parse_end(text)
    except ValueError as error:
        fail(f"--expires is {text!r}; it {error}, a time from now such as 90d, or never")
    assert isinstance(end, datetime)
    if end <= datetime.now(UTC):
        fail(f"--expires is {text!r}, which is over already")
    return end


def _duration(option: str, text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])|0", text)
    if not found:
        fail(f"{option} is {text!r}; it must be a number and s, m, h or d, such as 24h")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found[2] else timedelta()
