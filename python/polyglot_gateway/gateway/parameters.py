"""Query parameters, checked; those that nobody asks for are ignored."""

from __future__ import annotations

import re

import falcon

from polyglot_gateway.errors import InvalidParameter

MAX_OFFSET = 2**63 - 1

_EPOCH = re.compile(r"[0-9a-fA-F]{16}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def text(req: falcon.Request, name: str) -> str | None:
    """Return the parameter; None when it is not there.

    Raises:
        InvalidParameter: It is given more than once.
    """
    value = req.params.get(name)
    if isinstance(value, list):
        raise InvalidParameter(f"The parameter {name} is given {len(value)} times; once is allowed.")
    return value


def texts(req: falcon.Request, name: str) -> list[str]:
    """Return the parameter as often as it is given, in order."""
    value = req.params.get(name, [])
    return value if isinstance(value, list) else [value]


def whole(req: falcon.Request, name: str, least: int, most: int) -> int | None:
    """Return the parameter as a number from `least` to `most`; None when it is not there.

    Raises:
        InvalidParameter: It is not such a number.
    """
    value = text(req, name)
    if value is None:
        return None
    number = to_whole(value)
    if number is None or not least <= number <= most:
        raise _not_allowed(name, value, f"whole numbers from {least} to {most}")
    return number


def boolean(req: falcon.Request, name: str) -> bool:
    """Return the parameter as a truth value; False when it is not there.

    Raises:
        InvalidParameter: It is none of true, false, 1 and 0.
    """
    value = text(req, name)
    if value is None:
        return False
    if value not in _BOOLEANS:
        raise _not_allowed(name, value, ", ".join(_BOOLEANS))
    return _BOOLEANS[value]


def epoch(req: falcon.Request) -> str:
    """Return the parameter `epoch`; "" when it is not there.

    Raises:
        InvalidParameter: It is not 16 hex digits.
    """
    value = text(req, "epoch")
    if value is None:
        return ""
    if not _EPOCH.fullmatch(value):
        raise _not_allowed("epoch", value, "16 hex digits")
    return value


def position(name: str, value: str, *, epoch_needed: bool) -> tuple[str, int]:
    """Read `<epoch>:<offset>`, or only `<offset>` unless the epoch is needed; the epoch is "" when it is not given.

    Raises:
        InvalidParameter: It has another form. `name` says where it stood.
    """
    before, colon, after = value.rpartition(":")
    offset = to_whole(after)
    if offset is None or not (_EPOCH.fullmatch(before) if colon or epoch_needed else True):
        raise _not_allowed(name, value, "<epoch>:<offset>" if epoch_needed else "<epoch>:<offset> and <offset>")
    return before, offset


def to_whole(value: str) -> int | None:
    """Return the offset or count that plain decimal digits stand for; None for anything else."""
    if not (value.isascii() and value.isdigit() and len(value) <= 19):
        return None
    number = int(value)
    return number if number <= MAX_OFFSET else None


def _not_allowed(name: str, value: str, allowed: str) -> InvalidParameter:
    return InvalidParameter(f"{name} is {value!r}; allowed are {allowed}.")
