"""The HTTP side of the commands: one gateway, one app, one key."""

from __future__ import annotations

import http.client
import json
import sys
from typing import Annotated, Any, NoReturn
from urllib.parse import quote, urlsplit

import typer

App = Annotated[str, typer.Argument(help="The app's id, such as demo-app.")]
Channel = Annotated[str, typer.Argument(help="The channel's name, such as room:test.")]
Url = Annotated[str, typer.Option(envvar="POLYGLOT_URL", help="Where the gateway is.")]
Key = Annotated[
    str | None,
    typer.Option(envvar="POLYGLOT_KEY", help="The app's API key.", show_default="valid_key_APP, good in dev"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the gateway's answer as it came.")]

DEFAULT_URL = "http://127.0.0.1:4000"


def fail(message: str) -> NoReturn:
    """End the command with one sentence on stderr and exit status 1."""
    print(f"polyglot: {message}", file=sys.stderr)
    raise typer.Exit(1)


class Client:
    """Sends requests to a channel of a gateway; what goes wrong ends the command."""

    def __init__(self, url: str, app: str, channel: str, key: str | None, timeout: float = 30.0) -> None:
        try:
            parts = urlsplit(url)
            right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and _is_plain(url)
        except ValueError:
            right = False
        if not right:
            fail(f"--url is {url!r}; it has to look like {DEFAULT_URL}")
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host = parts.netloc
        self._path = f"{parts.path.rstrip('/')}/apps/{_escaped(app)}/channels/{_escaped(channel)}"
        self._key = key if key is not None else f"valid_key_{app}"
        self._timeout = timeout
        self.url = url

    def open(
        self, method: str, action: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Send a request to `action` of the channel and return the answer, its body unread, whatever its status.

        A header that cannot be sent ends the command.

        Raises:
            OSError: The gateway does not answer.
            http.client.HTTPException: What answers does not speak HTTP.
        """
        headers = {"X-API-Key": self._key, **(headers or {})}
        for name, value in headers.items():
            if not (value.isascii() and value.isprintable()):
                # The value is not repeated: it may be a key.
                fail(f"{name} may hold printable ASCII characters only; mend --key or --idempotency-key")
        connection = self._connect(self._host, timeout=self._timeout)
        connection.request(method, f"{self._path}/{action}", body, headers)
        return connection.getresponse()

    def ask(
        self, method: str, action: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[bytes, dict[str, Any]]:
        """Send a request and return the answer as it came and decoded; any status but 200 and 202 ends the command."""
        try:
            response = self.open(method, action, body, headers)
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            fail(self.unreachable(error))
        if response.status not in (200, 202):
            fail(refusal(response.status, answer))
        try:
            return answer, json.loads(answer)
        except ValueError:
            fail(refusal(response.status, answer))

    def unreachable(self, error: Exception) -> str:
        """Say in one sentence that the gateway does not answer."""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        return f"no gateway answers at {self.url}: {reason}; start one with `polyglot serve` or give its --url"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _escaped(name: str) -> str:
    # Arguments that are not UTF-8 come with surrogates; the gateway refuses their bytes with a clear answer.
    return quote(name, safe="", errors="surrogateescape")


def refusal(status: int, answer: bytes) -> str:
    """Say in one sentence what a problem+json answer says; of any other answer, its status."""
    try:
        problem = json.loads(answer)
        return f"{problem['error']} ({problem['code']}, HTTP {status})"
    except (ValueError, KeyError, TypeError):
        return f"the answer was HTTP {status}, and not from a Polyglot Gateway"
