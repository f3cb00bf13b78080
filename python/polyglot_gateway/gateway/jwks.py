"""The public keys of whoever signs tokens: a JSON Web Key Set (RFC 7517) in a file or behind a URL.

The set is read again every few minutes, and at once when a token names a key that is not in it, as issuers change
their keys without a word. Neither lets anybody make the gateway ask without end: it asks for the sake of an unknown
key at most twice a minute, one at a time, with a time limit and a limit of size, and follows no redirection. While the
set cannot be read, the keys that were read before stay, and the log says why.

A key is used for the one algorithm that belongs to its type, and for no other: RS256 with RSA keys of 2048 bits and
more, ES256 with P-256. Everything else in a set is left out: keys for encryption, other curves, secrets.

Thread safety: all of it. Where gevent has patched the process, who waits for the set lets others go on.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from polyglot_gateway.errors import Overloaded, SettingsError, Unauthorized

if TYPE_CHECKING:
    from jwt import PyJWK

REFRESH_SECONDS = 300.0
"""After so long the set is read again."""

PAUSE_SECONDS = 30.0
"""For the sake of an unknown key, or after a failure, the set is read again no sooner."""

_TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 1 << 20
_MOST_WAITING = 16
"""Requests that wait for the set at a time; others are refused at once, so that they do not fill the gateway."""

_MEMBERS = {"RSA": ("RS256", ("n", "e")), "EC": ("ES256", ("crv", "x", "y"))}
"""By type of key: its algorithm, and what makes up the public key."""
_LEAST_RSA_BITS = 2048

_log = structlog.get_logger("polyglot_gateway.gateway")

_Keys = dict[tuple[str, str | None], "PyJWK"]


class _Unusable(Exception):
    """Why the set, or a key of it, cannot be used."""


class KeySet:
    """The keys of one set, by the algorithm and the `kid` that a token names.

    Attributes:
        version: Another number after each change of the keys; what was verified under the one before counts no more.
    """

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the set. A URL that does not answer yet is asked again later; a file has to be there.

        Args:
            source: The path of a file, or a URL that begins with http:// or https://.
            clock: Seconds, from any beginning.

        Raises:
            SettingsError: The file cannot be used.
        """
        self._source = source
        self._is_url = "://" in source
        self._clock = clock
        self.version = 0
        self._text: bytes | None = None
        self._keys: _Keys = {}
        self._tried_at = 0.0
        self._failed = False
        self._reading = threading.Lock()
        self._room = threading.BoundedSemaphore(_MOST_WAITING)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="polyglot-jwks", daemon=True)
        if not self._is_url:
            try:
                self._take(self._read())
            except _Unusable as error:
                raise SettingsError(f"jwt_jwks: {source!r}: {error}; give a JSON Web Key Set (RFC 7517)") from None
            self._tried_at = clock()

    def start(self) -> None:
        """Read the set again every few minutes, and a URL for the first time; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading. Idempotent; does not wait."""
        self._closed.set()

    def find(self, algorithm: str, kid: str | None) -> PyJWK:
        """Return the key of that name for that algorithm; without a name the only key for it.

        Raises:
            Unauthorized: There is none.
            Overloaded: The set was never read, so nobody can tell.
        """
        key = self._find(algorithm, kid)
        if key is None and self._room.acquire(blocking=False):
            try:
                self.reload(PAUSE_SECONDS)
            finally:
                self._room.release()
            key = self._find(algorithm, kid)
        if key is not None:
            return key
        if not self._keys:
            raise Overloaded("The keys that tokens are checked with cannot be read now; the gateway's log says why.")
        raise Unauthorized("The token is not valid: it is signed with a key that its issuer does not publish.")

    def reload(self, pause: float = 0.0) -> None:
        """Read the set now, unless that was tried within the last `pause` seconds. What fails is logged."""
        with self._reading:
            if self._tried_at and self._clock() - self._tried_at < pause:
                return
            try:
                self._take(self._read())
                self._failed = False
            except _Unusable as error:
                self._failed = True
                _log.error("the key set cannot be read; known keys stay", source=self._source, reason=str(error))
            finally:
                self._tried_at = self._clock()

    def _refresh(self) -> None:
        if self._is_url:
            self.reload(PAUSE_SECONDS)
        while not self._closed.wait(PAUSE_SECONDS if self._failed else REFRESH_SECONDS):
            self.reload(PAUSE_SECONDS / 2)

    def _find(self, algorithm: str, kid: str | None) -> PyJWK | None:
        keys = self._keys
        if kid is not None:
            return keys.get((algorithm, kid))
        fitting = [key for (fits, _), key in keys.items() if fits == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def _take(self, text: bytes) -> None:
        if text == self._text:
            return
        keys = _parse(text)
        self._keys, self._text = keys, text
        self.version += 1

    def _read(self) -> bytes:
        if self._is_url:
            return _fetch(self._source)
        try:
            with Path(self._source).open("rb") as file:
                return _bounded(file.read(_MOST_BYTES + 1))
        except OSError as error:
            raise _Unusable(f"cannot be read: {error.strerror}") from None


def _bounded(text: bytes) -> bytes:
    if len(text) > _MOST_BYTES:
        raise _Unusable(f"has more than {_MOST_BYTES} bytes")
    return text


def _fetch(url: str) -> bytes:
    # It imports ssl, and must not do so in a master that forks before gevent has patched ssl.
    import urllib3  # noqa: PLC0415

    deadline = time.monotonic() + _TIMEOUT_SECONDS
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=_TIMEOUT_SECONDS), retries=False)
    try:
        answer = pool.request("GET", url, headers={"Accept": "application/json"}, preload_content=False)
        if answer.status != 200:
            raise _Unusable(f"the answer has the status {answer.status}")
        text = b""
        # A limit for each read would let a source that sends a byte now and then go on for ever.
        while part := answer.read1(65536, decode_content=False):
            text = _bounded(text + part)
            if time.monotonic() > deadline:
                raise _Unusable(f"did not come within {_TIMEOUT_SECONDS:g} s")
        return text
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise _Unusable(f"does not come: {error}") from None
    finally:
        pool.clear()


def _parse(text: bytes) -> _Keys:
    try:
        listed = json.loads(text)["keys"]
        if not isinstance(listed, list):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _Unusable("is no JSON object with a list of keys") from None
    keys: _Keys = {}
    for index, member in enumerate(listed):
        try:
            key, kid = _key(member), member.get("kid")
        except _Unusable as error:
            _log.warning("a key of the key set is left out", key=index, reason=str(error))
            continue
        keys.setdefault((str(key.algorithm_name), kid), key)
    if not keys:
        raise _Unusable("has no key for RS256 or ES256")
    return keys


def _key(member: Any) -> PyJWK:
    import jwt  # noqa: PLC0415

    if not isinstance(member, dict) or str(member.get("kty")) not in _MEMBERS:
        raise _Unusable("its kty is neither RSA nor EC")
    algorithm, members = _MEMBERS[member["kty"]]
    if member.get("alg", algorithm) != algorithm:
        raise _Unusable(f"its alg is not {algorithm}")
    if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ["verify"]):
        raise _Unusable("it is not for signatures")
    if not isinstance(member.get("kid"), str | None):
        raise _Unusable("its kid is no text")
    if member["kty"] == "EC" and member.get("crv") != "P-256":
        raise _Unusable("its curve is not P-256")
    # Nothing but the public key: a set may have been published with its secrets.
    public = {"kty": member["kty"], **{name: member.get(name) for name in members}}
    try:
        key = jwt.PyJWK(public, algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise _Unusable(f"it is malformed: {error}") from None
    if member["kty"] == "RSA" and key.key.key_size < _LEAST_RSA_BITS:
        raise _Unusable(f"it has fewer than {_LEAST_RSA_BITS} bits")
    return key
