"""What is told of calls to other systems, where somebody makes spans of them (ops/spans.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol


class Call(Protocol):
    """One call, under way."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes along with the request, so that the called one can go on with the trace."""

    def tell(self, **facts: int) -> None:
        """Say what is known by now."""

    def failed(self, code: str, why: str) -> None:
        """Say that it did not do what it should; an exception that leaves the block says it by itself.

        Args:
            code: Stable, of few values.
            why: One sentence, without anything of the events.
        """


Headers = Callable[[], Mapping[str, str]]
"""Gives the fields of a request, with names in small letters."""


class Observe(Protocol):
    """Watches a call, from the beginning of the block to its end."""

    def __call__(
        self, name: str, facts: Mapping[str, str | int], traceparents: Iterable[str]
    ) -> AbstractContextManager[Call]:
        """Begin.

        Args:
            name: What is called, one of few.
            facts: What is known of it before.
            traceparents: Of the events that it is about (W3C Trace Context); empty ones count for nothing.
        """


class Serve(Protocol):
    """Watches how a request is served, as `Observe` does a call."""

    def __call__(
        self, name: str, headers: Mapping[str, str], facts: Mapping[str, str | int], traceparents: Iterable[str]
    ) -> AbstractContextManager[Call]:
        """Begin; `headers`, with names in small letters, are the request's, which may say whose trace it goes on."""
