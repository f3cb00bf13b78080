import pytest

from polyglot_gateway.processor.text import is_text


@pytest.mark.parametrize("value", ["", "a", "“é”", "😀"])
def test_text(value):
    assert is_text(value)


@pytest.mark.parametrize("value", [None, 1, b"a", "\ud800", "a\udfff"])
def test_no_text(value):
    assert not is_text(value)
