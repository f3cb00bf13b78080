"""The reference: what a publish, a batch and a history cost when they are written well in plain Python.

It does the gateway's work with the standard library alone: strict JSON, checks, an id, a time, the envelope serialised
once, an offset, the newest 1000 events of each channel, the reply serialised. It keeps them in this process only,
survives nothing and knows neither keys nor idempotency, so it does less than what it is compared with.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

MAX_EVENT_BYTES = 65_536
HISTORY_SIZE = 1000

_is_app = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_is_channel = re.compile(r"[A-Za-z0-9_\-=@,.;:~/]{1,200}").fullmatch
_PAIRS = [high + low for high in "0123456789ABCDEFGHJKMNPQRSTVWXYZ" for low in "0123456789ABCDEFGHJKMNPQRSTVWXYZ"]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# Made once: json.loads and json.dumps make new ones for each call that asks for anything but their defaults.
_decode = json.JSONDecoder(parse_constant=_refuse).decode
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


class Ids:
    """ULIDs that grow by one within a millisecond, so randomness is asked for once in one."""

    def __init__(self) -> None:
        self._milliseconds = 0
        self._random = 0
        self._prefix = ""

    def next(self, milliseconds: int) -> str:
        if milliseconds > self._milliseconds:
            self._milliseconds = milliseconds
            self._random = int.from_bytes(os.urandom(10)) >> 1
            self._prefix = "evt_" + "".join([_PAIRS[milliseconds >> shift & 1023] for shift in (40, 30, 20, 10, 0)])
        else:
            self._random += 1
        r = self._random
        return (
            f"{self._prefix}{_PAIRS[r >> 70]}{_PAIRS[r >> 60 & 1023]}{_PAIRS[r >> 50 & 1023]}{_PAIRS[r >> 40 & 1023]}"
            f"{_PAIRS[r >> 30 & 1023]}{_PAIRS[r >> 20 & 1023]}{_PAIRS[r >> 10 & 1023]}{_PAIRS[r & 1023]}"
        )


class ReferenceGateway:
    """Publishes as the engine does, within one process."""

    def __init__(self) -> None:
        self._ids = Ids()
        self._epoch = os.urandom(8).hex()
        self._channels: dict[tuple[str, str], deque[bytes]] = {}
        self._offsets: dict[tuple[str, str], int] = {}

    def publish(self, app: str, channel: str, body: bytes) -> bytes:
        """Returns the reply `{"id","timestamp","offset","epoch"}`. Raises ValueError when the event is refused."""
        if not _is_app(app):
            raise ValueError("app")
        if len(body) > MAX_EVENT_BYTES:
            raise ValueError("too large")
        event = _decode(body.decode())
        if type(event) is not dict or event.keys() != {"type", "data"}:
            raise ValueError("not an event")
        return _encode(self._append(app, channel, event["type"], event["data"])).encode()

    def publish_batch(self, app: str, body: bytes) -> bytes:
        """Returns the reply `{"results":[…]}`. Raises ValueError when the batch as a whole is refused."""
        if not _is_app(app):
            raise ValueError("app")
        batch = _decode(body.decode())
        if type(batch) is not dict or batch.keys() != {"events"} or not 1 <= len(batch["events"]) <= 1000:
            raise ValueError("not a batch")
        results = []
        for event in batch["events"]:
            try:
                if type(event) is not dict or event.keys() != {"channel", "type", "data"}:
                    raise ValueError("not an event")
                channel = event["channel"]
                results.append({"channel": channel, **self._append(app, channel, event["type"], event["data"])})
            except ValueError as error:
                results.append({"channel": event.get("channel"), "error": str(error), "status": 400})
        return _encode({"results": results}).encode()

    def history(self, app: str, channel: str, limit: int = 100) -> list[Any]:
        """The newest events, oldest first."""
        return [json.loads(envelope) for envelope in list(self._channels[app, channel])[-limit:]]

    def _append(self, app: str, channel: str, type_: Any, data: Any) -> dict[str, Any]:
        if not _is_channel(channel):
            raise ValueError("channel")
        if type(type_) is not str or not 1 <= len(type_) <= 256:
            raise ValueError("type")
        now = time.time()
        timestamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")[:26] + "Z"
        id_ = self._ids.next(int(now * 1000))
        key = app, channel
        events = self._channels.get(key)
        if events is None:
            events = self._channels[key] = deque(maxlen=HISTORY_SIZE)
        offset = self._offsets[key] = self._offsets.get(key, 0) + 1
        envelope = {
            "id": id_,
            "app_id": app,
            "channel": channel,
            "type": type_,
            "data": data,
            "meta": {"user_id": None, "ts": timestamp, "source_ip": None},
            "offset": offset,
        }
        events.append(_encode(envelope).encode())
        return {"id": id_, "timestamp": timestamp, "offset": offset, "epoch": self._epoch}
