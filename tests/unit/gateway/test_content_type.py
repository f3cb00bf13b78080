import pytest

from polyglot_gateway.errors import UnsupportedMediaType
from polyglot_gateway.gateway.content_type import is_ndjson, require_json

JSON = [
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"; version=1',
    "application/cloudevents+json",
]
OTHERS = ["text/plain", "application/x-www-form-urlencoded", "text/json+json", "application/json; charset=latin-1", "x"]


@pytest.mark.parametrize("content_type", JSON)
def test_json_in_all_its_forms_is_taken(content_type: str) -> None:
    require_json({"CONTENT_TYPE": content_type})
    assert not is_ndjson({"CONTENT_TYPE": content_type})


@pytest.mark.parametrize("environ", [{}, {"CONTENT_TYPE": ""}])
def test_a_body_of_which_nothing_is_said_is_taken_as_json(environ: dict[str, str]) -> None:
    require_json(environ)
    assert not is_ndjson(environ)


@pytest.mark.parametrize("content_type", OTHERS)
def test_anything_else_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        require_json({"CONTENT_TYPE": content_type})
    with pytest.raises(UnsupportedMediaType):
        is_ndjson({"CONTENT_TYPE": content_type})


def test_lines_of_json_are_for_batches_only() -> None:
    assert is_ndjson({"CONTENT_TYPE": "application/x-ndjson; charset=utf-8"})
    with pytest.raises(UnsupportedMediaType, match="application/x-ndjson"):
        require_json({"CONTENT_TYPE": "application/x-ndjson"})


def test_a_compressed_body_is_refused() -> None:
    environ = {"CONTENT_TYPE": "application/json", "HTTP_CONTENT_ENCODING": "gzip"}
    with pytest.raises(UnsupportedMediaType, match="gzip"):
        require_json(environ)
    require_json({**environ, "HTTP_CONTENT_ENCODING": "identity"})
