"""polyglot.toml as `polyglot keys` changes it: whole or not at all, and nothing but the keys.

A change is made under a lock, in a copy beside the file, which replaces it once the gateway's own checks have read
from it what was meant. Comments, order and everything else stay as they are. A file that is not valid is not touched:
the gateway would not read the change either.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings import AppSettings, KeySettings, load_settings

Apps = dict[str, AppSettings]


def find(named: str | None) -> Path:
    """Return the file that the gateway would read: the one that is named here, in the environment or in .env.

    Raises:
        SettingsError: It is not there though it is named, or is not valid.
    """
    return load_settings(polyglot_config=named, polyglot_env="dev").polyglot_config


def read(path: Path) -> Apps:
    """Return the apps in the file; none when there is no file.

    Raises:
        SettingsError: It is not valid.
    """
    # What is wrong in production alone is not the file's own fault, and may be just what is to be mended.
    return load_settings(polyglot_config=path, polyglot_env="dev").apps if path.exists() else {}


def block_of(app: str, key: KeySettings) -> str:
    """Return the TOML of a key, which may follow what a file holds, and other keys of the same app, as it is."""
    # Printable text and lists of it are the same in JSON and in TOML.
    lines = [
        f"{name} = {_time(value) if isinstance(value, datetime) else json.dumps(value, ensure_ascii=False)}"
        for name, value in _members(key).items()
    ]
    return "\n".join(["", f"[[apps.{json.dumps(app)}.keys]]", *lines, ""])


class Change:
    """A change of one app's keys; they are numbered as they stand in the file."""

    def __init__(self, apps: Apps, app: str) -> None:
        """Begin with the keys that the file holds."""
        self._apps = apps
        self._app = app
        self.keys = list(apps[app].keys) if app in apps else []
        self._added: list[KeySettings] = []
        self._ends: dict[int, datetime] = {}
        self._removed: set[int] = set()

    def add(self, key: KeySettings) -> None:
        """Add a key behind the others."""
        self._added.append(key)

    def end(self, index: int, at: datetime) -> None:
        """Let a key expire then."""
        self._ends[index] = at

    def remove(self, index: int) -> None:
        """Take a key out."""
        self._removed.add(index)

    def result(self) -> Apps:
        """Return what the file is to say."""
        kept = [
            key.model_copy(update={"expires": self._ends.get(index, key.expires)})
            for index, key in enumerate(self.keys)
            if index not in self._removed
        ]
        settings = self._apps.get(self._app, AppSettings())
        return {**self._apps, self._app: settings.model_copy(update={"keys": kept + self._added})}

    def apply(self, text: str) -> str:
        """Return the file's text with the change in it."""
        # Slow to import, and only needed here.
        import tomlkit

        document = tomlkit.parse(text)
        found: Any = document.get("apps", {}).get(self._app, {})
        keys: Any = found.get("keys")
        in_line = isinstance(keys, tomlkit.items.Array)
        for index, at in self._ends.items():
            keys[index]["expires"] = at
        for index in sorted(self._removed, reverse=True):
            del keys[index]
        if in_line:
            for key in self._added:
                table = tomlkit.inline_table()
                table.update(_members(key))
                keys.append(table)
        elif keys is not None and not keys:
            del found["keys"]
        changed = tomlkit.dumps(document)
        if self._added and not in_line:
            changed = changed if not changed or changed.endswith("\n") else changed + "\n"
            changed += "".join(block_of(self._app, key) for key in self._added)
        return changed


@contextlib.contextmanager
def changing(path: Path, app: str) -> Iterator[Change]:
    """Give the keys of an app to be changed; what was changed is written at the end of the block.

    Raises:
        SettingsError: The file is not valid, is such that it cannot be changed without harm, or cannot be written.
            Nothing was changed then.
    """
    path = path.resolve()  # a link goes on to lead to the file
    try:
        with _locked(path.parent):
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            change = Change(read(path), app)
            yield change
            _replace(path, change.apply(before), before, change.result())
    except OSError as error:
        raise SettingsError(f"{str(path)!r} cannot be changed: {error.strerror}") from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else changes a file of the folder meanwhile, if it keeps to this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str, before: str, meant: Apps) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if path.exists():
                status = path.stat()
                os.fchmod(file.fileno(), status.st_mode & 0o7777)
                with contextlib.suppress(PermissionError):  # of another owner: it becomes ours
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        _check(Path(name), before, meant)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(path: Path, before: str, meant: Apps) -> None:
    """Read what was written, and compare it with what was meant."""
    try:
        same = _filled(read(path)) == _filled(meant) and _others(path.read_text("utf-8")) == _others(before)
    except SettingsError:
        same = False
    if not same:
        raise SettingsError("the file is written in a way that cannot be changed safely; change it by hand")


def _filled(apps: Mapping[str, AppSettings]) -> Apps:
    """Without apps of which nothing is said."""
    return {app: settings for app, settings in apps.items() if settings != AppSettings()}


def _others(text: str) -> dict[str, Any]:
    return {name: value for name, value in tomllib.loads(text).items() if name != "apps"}


def _members(key: KeySettings) -> dict[str, Any]:
    members: dict[str, Any] = {"name": key.name, "sha256": key.sha256, "scopes": list(key.scopes)}
    return members | ({"expires": key.expires} if key.expires else {})


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
