"""Histories of another version of the file's layout."""

import struct
from pathlib import Path

_PLACE = 8  # of the version in history.pgs, in every version


def version_of(path: Path) -> int:
    return struct.unpack("<I", path.read_bytes()[_PLACE : _PLACE + 4])[0]


def set_version(path: Path, version: int) -> None:
    """Make it a file of that version; whoever has it open is not disturbed."""
    with path.open("r+b") as file:
        file.seek(_PLACE)
        file.write(struct.pack("<I", version))


def set_aside(data: Path) -> list[Path]:
    """The histories of other versions that were set aside, oldest first."""
    return sorted(data.glob("history.pgs.version-*"), key=lambda path: path.stat().st_mtime_ns)
