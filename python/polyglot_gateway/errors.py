"""Every error the gateway raises, as one tree with stable codes.

```
GatewayError
├── RequestError          the request is wrong; sending it again unchanged fails again
│   ├── InvalidJson  InvalidEvent  InvalidApp  InvalidChannel  InvalidParameter  InvalidRequest
│   ├── Unauthorized  TokenExpired  Forbidden  NotFound  MethodNotAllowed  RequestTimeout
│   └── PayloadTooLarge  UriTooLong  UnsupportedMediaType  IdempotencyMismatch  EventRejected  HeadersTooLarge
├── TemporaryError        right request, wrong moment; worth sending again after `retry_after` seconds
│   └── RateLimited  Overloaded  EngineUnavailable (EngineDown)  ProcessorUnavailable
├── InternalError         a defect of the gateway
├── StorageError          the data folder cannot be used; the gateway does not start
│   └── StorageBusy  StorageDamaged  StorageFull  StorageUnusable  StorageVersion
└── SettingsError         a setting is wrong; the gateway does not start
```

The codes, their HTTP statuses and their advice stand in one table, in ``cpp/core/status.cpp``;
``polyglot_gateway._core`` raises these classes by code.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Anything that goes wrong in the gateway, on purpose.

    Attributes:
        code: Stable name of the error, the same in HTTP, metrics and documentation.
        message: One plain sentence that says what is wrong and where.
        position: Byte in the request body, from 0, at which the trouble was seen; None when it has no place.
        retry_after: Seconds after which to try again; None for what is usual for the code.
    """

    code: ClassVar[str] = "internal_error"
    retry_after: int | None = None

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class RequestError(GatewayError):
    """The request is wrong; sending it again unchanged fails again."""


class InvalidJson(RequestError):
    """The body is not strict JSON (RFC 8259)."""

    code = "invalid_json"


class InvalidEvent(RequestError):
    """The body is JSON but not an event, a batch or a broadcast."""

    code = "invalid_event"


class InvalidApp(RequestError):
    """The app id has a wrong length or character."""

    code = "invalid_app"


class InvalidChannel(RequestError):
    """The channel name has a wrong length or character."""

    code = "invalid_channel"


class InvalidParameter(RequestError):
    """A query parameter, header or pattern has a value that is not allowed."""

    code = "invalid_parameter"


class InvalidRequest(RequestError):
    """The request is not well-formed HTTP."""

    code = "invalid_request"


class Unauthorized(RequestError):
    """No credential, or one that this app does not know."""

    code = "unauthorized"


class TokenExpired(RequestError):
    """The bearer token was good, but its time is over."""

    code = "token_expired"


class Forbidden(RequestError):
    """The credential is known but lacks the scope."""

    code = "forbidden"


class NotFound(RequestError):
    """There is nothing at this path."""

    code = "not_found"


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method."""

    code = "method_not_allowed"


class RequestTimeout(RequestError):
    """The request did not arrive in time."""

    code = "request_timeout"


class PayloadTooLarge(RequestError):
    """The body is larger than the channel or the gateway allows."""

    code = "payload_too_large"


class UriTooLong(RequestError):
    """The request line is longer than the server takes."""

    code = "uri_too_long"


class UnsupportedMediaType(RequestError):
    """The body's Content-Type is not one that the route takes."""

    code = "unsupported_media_type"


class IdempotencyMismatch(RequestError):
    """The Idempotency-Key was used before with another body."""

    code = "idempotency_mismatch"


class EventRejected(RequestError):
    """The processor refused the event, and says why; nothing was kept."""

    code = "event_rejected"


class HeadersTooLarge(RequestError):
    """The headers are larger, or more, than the server takes."""

    code = "headers_too_large"


class TemporaryError(GatewayError):
    """Right request, wrong moment; worth sending again after a pause."""


class RateLimited(TemporaryError):
    """The app sends more, or has more open, than its limits allow."""

    code = "rate_limited"


class Overloaded(TemporaryError):
    """The gateway has no room for this request now."""

    code = "overloaded"


class EngineUnavailable(TemporaryError):
    """The engine cannot take or give events now."""

    code = "engine_unavailable"


class EngineDown(EngineUnavailable):
    """What keeps the events does not answer; once it does, all goes on by itself."""


class ProcessorUnavailable(TemporaryError):
    """The processor tier does not answer; nothing was kept."""

    code = "processor_unavailable"


class InternalError(GatewayError):
    """A defect of the gateway."""


class StorageError(GatewayError):
    """The data folder cannot be used; the gateway does not start."""


class StorageBusy(StorageError):
    """The history file is in use by a process with other settings, or by too many workers."""

    code = "storage_busy"


class StorageDamaged(StorageError):
    """The history file is damaged and could not be set aside."""

    code = "storage_damaged"


class StorageFull(StorageError):
    """The disk has no room for the history file."""

    code = "storage_full"


class StorageUnusable(StorageError):
    """The data folder cannot be created, written or mapped."""

    code = "storage_unusable"


class StorageVersion(StorageError):
    """The history file is in use by another version of the gateway."""

    code = "storage_version"


class SettingsError(GatewayError):
    """A setting is wrong; the message names it, its value and what is allowed."""

    code = "invalid_setting"
