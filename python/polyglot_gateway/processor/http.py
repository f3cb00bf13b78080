"""The processor over HTTP: POST /process-batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import Literal

import urllib3
from gevent import Timeout, monkey
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.address import Address
from polyglot_gateway.processor.base import MOST_BYTES, Event, Verdict
from polyglot_gateway.processor.endpoint import NO_HEADERS, Unreached, closed, late, verdicts_on
from polyglot_gateway.processor.http_pool import Pool, TlsPool
from polyglot_gateway.processor.json_wire import read_verdicts, write_events


class HttpEndpoint:
    """One URL of the processor tier. Fulfils `Endpoint`.

    The data of events and verdicts is copied byte for byte and never taken apart, so whatever is in it stays: numbers
    of any size, the order and repetition of members, spaces, escapes. Nothing is sent twice: a connection that the
    service closed while it lay idle is noticed before it is used.

    Where gevent has not patched the process, the look-up of a name takes as long as the resolver lets it, and the time
    to connect is given to each address that a name has.
    """

    protocol: Literal["http", "grpc"] = "http"

    def __init__(self, address: Address, pool_size: int) -> None:
        """Prepare it; nothing is connected before it is asked.

        Args:
            address: Where it is.
            pool_size: Connections that are kept; it is not to be asked for more batches at once.
        """
        self.name = address.name
        self._path = address.path + "/process-batch"
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if address.authorization:
            headers["Authorization"] = address.authorization
        kind = TlsPool if address.scheme == "https" else Pool
        self._pool = kind(address.host, address.port, maxsize=pool_size, headers=headers, retries=False)

    def ask(self, events: Sequence[Event], seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> list[Verdict]:
        """As `Endpoint` has it; Unreached or ProcessorUnavailable."""
        body = write_events(events)
        try:
            with _interrupted_after(seconds):
                answer = self._exchange(body, seconds, headers)
        except ClosedPoolError as error:
            raise closed(self.name) from error
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise Unreached(f"The processor at {self.name} cannot be reached: {_reason(error)}.") from error
        except (ReadTimeoutError, TimeoutError) as error:
            raise ProcessorUnavailable(late(self.name, seconds)) from error
        except SSLError as error:
            raise ProcessorUnavailable(f"The processor at {self.name} is not trusted: {_reason(error)}.") from error
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            raise ProcessorUnavailable(f"The processor at {self.name} broke off: {_reason(error)}.") from error
        return verdicts_on(events, self.name, read_verdicts, answer)

    def close(self) -> None:
        """Close its connections. Idempotent."""
        self._pool.close()

    def _exchange(self, body: bytes, seconds: float, more: Mapping[str, str]) -> bytes:
        limits = urllib3.Timeout(total=seconds, connect=seconds / 2)
        headers = {**self._pool.headers, **more} if more else None  # its own
        response = self._pool.urlopen(
            "POST", self._path, body, headers, timeout=limits, preload_content=False, decode_content=False
        )
        try:
            if response.status != 200:
                raise ProcessorUnavailable(f"The processor at {self.name} answered with HTTP {response.status}.")
            answer = b""
            while len(answer) <= MOST_BYTES and (part := response.read(MOST_BYTES + 1 - len(answer))):
                answer += part
            if len(answer) > MOST_BYTES:
                raise ProcessorUnavailable(f"The processor at {self.name} answered more than {MOST_BYTES} bytes.")
            return answer
        finally:
            # A connection whose answer was read to its end is in the pool again, and stays open.
            response.close()


@contextlib.contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    """Where gevent can, end what the time limits of a socket leave open: looking up a name, shaking hands for TLS."""
    if not monkey.is_module_patched("socket"):
        yield
        return
    limit = Timeout.start_new(seconds)
    try:
        yield
    except Timeout as error:
        if error is not limit:
            raise
        raise TimeoutError from error
    finally:
        limit.close()


def _reason(error: BaseException) -> str:
    """What lies under an error of urllib3's, without anything that the service has said."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if isinstance(cause, RemoteDisconnected | IncompleteRead):
            return "the connection was closed before the end of the answer"
    if isinstance(error, ConnectTimeoutError):
        return "no connection in time"
    return f"its answer is not HTTP ({type(causes[-1]).__name__})"
