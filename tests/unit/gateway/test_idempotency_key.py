import pytest

from polyglot_gateway.errors import InvalidParameter
from polyglot_gateway.gateway.idempotency_key import idempotency_key


@pytest.mark.parametrize(("environ", "key"), [({}, ""), ({"HTTP_IDEMPOTENCY_KEY": "order-7 ~"}, "order-7 ~")])
def test_the_key_is_what_the_header_says(environ: dict[str, str], key: str) -> None:
    assert idempotency_key(environ) == key


@pytest.mark.parametrize("key", ["é", "é".encode().decode("latin-1"), "order\xa07"])
def test_what_is_not_ascii_is_refused(key: str) -> None:
    with pytest.raises(InvalidParameter, match="outside ASCII"):
        idempotency_key({"HTTP_IDEMPOTENCY_KEY": key})
