"""The fields that tell a publisher how much its app may still publish (draft-ietf-httpapi-ratelimit-headers)."""

from __future__ import annotations

import falcon


def tell_rate_limit(resp: falcon.Response, limit: tuple[str, str] | None) -> None:
    """Add policy and state, as `Access.rate_limit` gives them, to the answer; None is an app without such a limit."""
    if limit is not None:
        policy, state = limit
        resp.set_header("RateLimit-Policy", policy)
        resp.set_header("RateLimit", state)
