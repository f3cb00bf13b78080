"""Who may connect or join, and what a token allows: what the C++ thread asks, decided by the application's tokens."""

from __future__ import annotations

import json
from typing import Any, cast

import structlog

from polyglot_gateway import _core
from polyglot_gateway.errors import GatewayError
from polyglot_gateway.gateway.tokens import AuthorizeRequest, Kind, Tokens

_log = structlog.get_logger("polyglot_gateway.server")


class Questions:
    """Answers the questions of one server. Any greenlet may call it; a hook may wait."""

    def __init__(self, server: _core.Server, tokens: Tokens) -> None:
        self._server = server
        self._tokens = tokens

    def answer(self, number: int, asked: dict[str, Any]) -> None:
        """Decide the question of that number, or deny it; what fails is logged, and denied too.

        Args:
            number: Of the job.
            asked: Its content.
        """
        try:
            self._server.decide(number, self._ask(**asked))
        except GatewayError as error:
            self._server.deny(number, error.code, error.message)
        except Exception as error:
            _log.error("the authorize hook failed", exc_info=error, app=asked["app"], channel=asked["channel"])
            self._server.deny(number, "internal_error", "The gateway could not decide; its log says why.")

    def _ask(self, kind: str, token: str, params: bytes, **asked: Any) -> _core.Grant | None:
        if kind == "verify":
            return self._tokens.verify(token)
        said = json.loads(params) if params else {}
        request = AuthorizeRequest(
            kind=cast("Kind", kind),
            token=token,
            params=said if isinstance(said, dict) else {},
            **asked,
        )
        if kind == "connect":
            return self._tokens.connect(request)
        return self._tokens.join(request) if kind == "join" else self._tokens.ask(request)
