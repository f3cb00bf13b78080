import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_gateway.errors import InvalidJson
from polyglot_gateway.processor.json_cursor import JsonCursor

DIGITS = b"9" * 10_000


@pytest.mark.parametrize("written", [b"1.10", b"1e999", DIGITS, b"-0", b'"\\u00e9\xc3\xa9"', b'{"a":[1, 2 ]}'])
def test_a_value_stays_as_it_was_written(written):
    cursor = JsonCursor(b" " + written + b"\n")
    assert cursor.value()[1] == written
    cursor.end()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 1]), st.booleans())
def test_the_members_of_any_object_are_found(members, indent, ascii_only):
    body = json.dumps(members, indent=indent, ensure_ascii=ascii_only)
    cursor = JsonCursor(body.encode())
    found = {name: json.loads(cursor.value()[1]) for name in cursor.object()}
    cursor.end()
    assert found == json.loads(body.encode())


@given(st.lists(JSON))
def test_the_elements_of_any_array_are_found(elements):
    cursor = JsonCursor(json.dumps(elements).encode())
    assert [json.loads(cursor.value()[1]) for _ in cursor.array()] == elements
    cursor.end()


def read(body):
    cursor = JsonCursor(body)
    if cursor.next_is("{"):
        for _ in cursor.object():
            cursor.value()
    else:
        for _ in cursor.array():
            cursor.value()
    cursor.end()


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b"", 0),
        (b"{", 1),
        (b"{1:2}", 1),
        (b'{"a" 1}', 5),
        (b'{"a":}', 5),
        (b'{"a":1,}', 7),
        (b'{"\xc3\xa9":1;}', 7),
        (b"[1 2]", 3),
        (b"[1,]", 3),
        (b"[NaN]", 1),
        (b"[-Infinity]", 1),
        (b"[1]]", 3),
        (b'["\xff"]', 2),
        (b"[" * 100_000, 1),
    ],
)
def test_what_is_no_json_is_told_with_its_place(body, position):
    with pytest.raises(InvalidJson) as caught:
        read(body)
    assert caught.value.position == position
