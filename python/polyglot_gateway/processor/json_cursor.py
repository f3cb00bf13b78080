"""Reads JSON from front to back, and gives values as Python has them and as they were written.

What is kept as it was written needs no conversion: a number of a thousand digits stays what it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from polyglot_gateway.errors import InvalidJson

_space = re.compile(r"[ \t\n\r]*").match


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# Numbers of any length, without the limit that Python has for converting integers.
_decoder = json.JSONDecoder(parse_int=float, parse_constant=_refuse_constant)


class JsonCursor:
    """A place in a text. What `object` and `array` announce has to be read before they are asked for the next one.

    All methods raise InvalidJson, with the byte at which the text goes wrong.
    """

    def __init__(self, body: bytes) -> None:
        try:
            self._text = body.decode()
        except UnicodeDecodeError as error:
            raise InvalidJson("The body is not UTF-8.", error.start) from None
        self._at = 0

    def next_is(self, sign: str) -> bool:
        """Whether the next value begins so."""
        self._at = _space(self._text, self._at).end()  # type: ignore[union-attr]
        return self._text.startswith(sign, self._at)

    def object(self) -> Iterator[str]:
        """Move into an object and to each of its members, whose name is given."""
        self._expect("{")
        if not self.next_is("}"):
            while True:
                if not self.next_is('"'):
                    self._fail("A member's name must stand here.", self._at)
                name, _ = self.value()
                self._expect(":")
                yield name
                if not self.next_is(","):
                    break
                self._at += 1
        self._expect("}")

    def array(self) -> Iterator[None]:
        """Move into an array and to each of its elements."""
        self._expect("[")
        if not self.next_is("]"):
            while True:
                yield
                if not self.next_is(","):
                    break
                self._at += 1
        self._expect("]")

    def value(self) -> tuple[Any, bytes]:
        """Move over a value; return it, with all numbers as floats, and as it was written."""
        self._at = _space(self._text, self._at).end()  # type: ignore[union-attr]
        try:
            value, end = _decoder.raw_decode(self._text, self._at)
            written = self._text[self._at : end]
        except json.JSONDecodeError as error:
            self._fail(f"{error.msg}.", error.pos)
        except (ValueError, RecursionError) as error:
            self._fail(f"The value that begins here cannot be read: {error}.", self._at)
        self._at = end
        return value, written.encode()

    def end(self) -> None:
        """Find that nothing follows."""
        self._at = _space(self._text, self._at).end()  # type: ignore[union-attr]
        if self._at != len(self._text):
            self._fail("Nothing may follow here.", self._at)

    def _expect(self, sign: str) -> None:
        if not self.next_is(sign):
            self._fail(f"{sign} must stand here.", self._at)
        self._at += 1

    def _fail(self, reason: str, at: int) -> NoReturn:
        raise InvalidJson(reason, len(self._text[:at].encode()))
