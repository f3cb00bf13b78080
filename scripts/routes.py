"""Writes docs/routes.md from what the gateway says of itself: `python scripts/routes.py >docs/routes.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from polyglot_gateway.gateway.openapi import document

_HEAD = """\
# Routes

What `/openapi.json` of a running gateway says, as a page. Written by `python scripts/routes.py >docs/routes.md`.
Sockets are not in it: [websocket.md](websocket.md). Every answer has `X-Request-ID`; what a code means and how to mend
it stands in [errors.md](errors.md). GET has a HEAD beside it.
"""
_ACCESS = {
    "key": "a key",
    "token": "a token",
    "keyInUrl": "a key or token as `?key=`",
    "": "nothing, where a rule or development lets everybody read",
}


def page() -> str:
    """The page."""
    described = document("", "/")
    lines = [_HEAD]
    for path, operations in described["paths"].items():
        shared = operations.get("parameters", [])
        for method in ("get", "post", "delete"):
            if operation := operations.get(method):
                lines += _route(method, path, operation, shared, described["components"]["parameters"])
    return "\n".join(lines)


def _route(method: str, path: str, operation: Any, shared: list[Any], named: Any) -> Iterator[str]:
    yield f"## {method.upper()} {path}\n"
    yield " ".join(f"{text.rstrip('.')}." for key in ("summary", "description") if (text := operation.get(key))) + "\n"
    if ways := [next(iter(way), "") for way in operation["security"]]:
        yield f"Needs {', or '.join(_ACCESS[way] for way in ways)}.\n"
    yield "| | | |\n|---|---|---|"
    for given in [*shared, *operation["parameters"]]:
        parameter = named[given["$ref"].rpartition("/")[2]] if "$ref" in given else given
        if parameter["name"] != "X-Request-ID":
            what = f"{parameter['description']}{_bounds(parameter['schema'])}"
            yield f"| `{parameter['name']}` | {parameter['in']} | {what} |"
    if body := operation.get("requestBody"):
        yield f"| body | {' or '.join(f'`{kind}`' for kind in body['content'])} | {_schemas(body['content'])} |"
    for status, answer in operation["responses"].items():
        yield f"| {status} | | {answer['description']} |"
    yield ""


def _bounds(schema: Any) -> str:
    schema = schema.get("items", schema)
    known = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    if "default" in schema:
        known.append(f"{schema['default']} by default")
    return f" ({', '.join(known)})" if known else ""


def _schemas(content: Any) -> str:
    return " ".join(
        kind["schema"].get("description") or f"`{kind['schema']['$ref'].rpartition('/')[2]}` of `/openapi.json`."
        for kind in content.values()
    )


if __name__ == "__main__":
    sys.stdout.write(page())
