"""The settings of apps: their keys, channel rules and limits, as `polyglot.toml` has them.

`settings.py` reads and reports them; here stands what each may be.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from polyglot_gateway import _core
from polyglot_gateway.errors import GatewayError

Scope = Literal["publish", "history", "subscribe", "admin", "presence"]

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_DAY = 86_400
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError(
            "must be the key's SHA-256 as 64 hex digits; `polyglot keys generate APP` makes a key and prints it"
        )
    return text.lower()


def _pattern(text: str) -> str:
    try:
        _core.check_pattern(text)
    except GatewayError as error:
        raise ValueError(error.message) from None
    return text


def _app(text: str) -> str:
    if text != "*":
        try:
            _core.check_app(text)
        except GatewayError as error:
            raise ValueError(error.message) from None
    return text


def _function(text: str) -> str:
    if not _FUNCTION.fullmatch(text):
        raise ValueError("must be module:function, such as my_service.hooks:decide")
    return text


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def parse_end(value: object) -> object:
    """Read when something ends: a date-time of RFC 3339, or a date, which is the last day in UTC.

    Raises:
        ValueError: It is neither.
    """
    wrong = "must be a date-time with its zone, such as 2027-01-31T12:00:00Z, or a date, which is the last day"
    try:
        if isinstance(value, str):
            value = date.fromisoformat(value) if _DATE.fullmatch(value) else datetime.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueError(wrong) from None
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise ValueError(wrong)
    return value


Number = Annotated[int, BeforeValidator(_number)]
Seconds = Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False)]
FunctionName = Annotated[str, BeforeValidator(lambda v: _function(v) if isinstance(v, str) else v)]
EventBytes = Annotated[Number, Field(ge=64, le=1_048_576)]
Rate = Annotated[Number, Field(ge=1, le=1_000_000_000)]
Burst = Annotated[Number, Field(ge=1)]
Quota = Annotated[Number, Field(ge=1, le=4_294_967_295)]
HistorySize = Annotated[Number, Field(ge=1, le=65_535)]


class KeySettings(BaseModel):
    """One API key of an app; only its digest is known here."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sha256: Annotated[str, BeforeValidator(lambda v: _digest(v) if isinstance(v, str) else v)]
    scopes: list[Scope] = Field(min_length=1)
    name: str = ""
    expires: Annotated[datetime | None, BeforeValidator(parse_end)] = None

    def expires_at(self) -> int:
        """The first second since 1970 at which it no longer holds, 0 when it always does."""
        return 0 if self.expires is None else max(math.ceil(self.expires.timestamp()), 1)


class RuleSettings(BaseModel):
    """What holds for the channels that match a pattern; what is not said here is as it is for all channels."""

    model_config = ConfigDict(extra="forbid", strict=True)

    channels: Annotated[str, BeforeValidator(lambda v: _pattern(v) if isinstance(v, str) else v)]
    history_size: HistorySize | None = None
    history_ttl: Seconds | None = None
    max_event_bytes: EventBytes | None = None
    public_read: bool = False
    client_publish: bool = False
    presence: bool = False
    conflate: bool = False
    processor: bool = True
    on_processor_down: Literal["fail", "bypass"] = "fail"


class LimitSettings(BaseModel):
    """How much an app may publish and have open at once; what is not said is not limited."""

    model_config = ConfigDict(extra="forbid", strict=True)

    events_per_second: Rate | None = None
    events_burst: Burst | None = None
    bytes_per_second: Rate | None = None
    bytes_burst: Burst | None = None
    connections: Quota | None = None
    subscriptions: Quota | None = None
    channels: Quota | None = None

    @model_validator(mode="after")
    def _check_bursts(self) -> Self:
        for kind in ("events", "bytes"):
            rate, burst = getattr(self, f"{kind}_per_second"), getattr(self, f"{kind}_burst")
            if burst is not None and rate is None:
                raise ValueError(f"{kind}_burst needs {kind}_per_second beside it")
            if burst is not None and burst > rate * _DAY:
                raise ValueError(f"{kind}_burst is more than a day's worth; allowed are up to {rate * _DAY}")
        return self


class AppSettings(BaseModel):
    """The keys, channel rules and limits of one app; the first rule whose pattern matches decides."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keys: list[KeySettings] = []
    rules: list[RuleSettings] = []
    limits: LimitSettings | None = None


Apps = dict[Annotated[str, BeforeValidator(_app)], AppSettings]


def too_long_histories(apps: Mapping[str, AppSettings], history_size: int) -> list[str]:
    """Return a line for each rule that keeps more than the history file was made for."""
    return [
        f"apps.{app}.rules: history_size {rule.history_size} of {rule.channels!r} is above the history_size of all "
        f"channels; allowed are 1 to {history_size}"
        for app, settings in apps.items()
        for rule in settings.rules
        if rule.history_size is not None and rule.history_size > history_size
    ]


def keys_that_everybody_knows(apps: Mapping[str, AppSettings]) -> list[str]:
    """Return a line for each key that stands in documents, or is none at all."""
    public = ["", "abc", *(f"valid_key_{app}" for app in ("demo-app", *apps))]
    digests = {hashlib.sha256(key.encode()).hexdigest() for key in public}
    return [
        f"apps.{app}.keys.{index}.sha256: is the digest of a key that everybody knows; with POLYGLOT_ENV=prod "
        f"make one with `polyglot keys generate {app}`"
        for app, settings in apps.items()
        for index, key in enumerate(settings.keys)
        if key.sha256 in digests
    ]


def expired_keys(apps: Mapping[str, AppSettings]) -> list[str]:
    """Return a sentence for each key whose time is over."""
    now = datetime.now(UTC)
    return [
        f"apps.{app}.keys.{index}.expires: the key {key.name!r} has expired; `polyglot keys rotate` makes another, "
        "`polyglot keys revoke` takes it out"
        for app, settings in apps.items()
        for index, key in enumerate(settings.keys)
        if key.expires is not None and key.expires <= now
    ]
