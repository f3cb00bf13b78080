"""The files of the console, as they are served."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

_PAGE = "index.html"
_BASE = b"{assets}"
"""Stands in the page for the folder of all other files, seen from where the page is."""
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "LICENSE": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, and their content type."""

    body: bytes
    content_type: str


class Assets:
    """Every file of the console. One digest is the version of them all, so that no two versions ever meet in a page.

    Attributes:
        version: The digest, 16 hex digits.
        page: The HTML page; it names the version in the URLs of the others.
    """

    def __init__(self, folder: Traversable | None = None) -> None:
        """Read the files of `folder`, by default those of the package."""
        found = dict(_files_of(folder or files("polyglot_gateway.console"), ""))
        page = found.pop(_PAGE)
        digest = hashlib.sha256(page)
        for name, body in sorted(found.items()):
            digest.update(b"%s\0%d\0%s" % (name.encode(), len(body), body))
        self.version = digest.hexdigest()[:16]
        self.page = page.replace(_BASE, b"console/" + self.version.encode())
        self._others = {name: Asset(body, _TYPES[name.rpartition(".")[2]]) for name, body in found.items()}

    def get(self, version: str, name: str) -> Asset | None:
        """The file of this name; None when there is none in this version."""
        return self._others.get(name) if version == self.version else None


def _files_of(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _files_of(entry, f"{name}/")
        elif name == _PAGE or name.rpartition(".")[2] in _TYPES:
            found.append((name, entry.read_bytes()))
    return found
