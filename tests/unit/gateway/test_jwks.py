import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.key_sets import KeySource, ec_key, key_set, key_source, member, rsa_key, signed
from tests.serving import wait_until

from polyglot_gateway.errors import Overloaded, SettingsError, TokenExpired, Unauthorized
from polyglot_gateway.gateway import jwks
from polyglot_gateway.gateway.jwks import PAUSE_SECONDS, KeySet
from polyglot_gateway.gateway.tokens import Tokens


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> Iterator[KeySource]:
    with key_source() as source:
        yield source


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A set with an RSA and an EC key."""
    (path := tmp_path / "keys.json").write_text(key_set(one=rsa_key(), two=ec_key()))
    return path


@pytest.fixture
def tokens(file: Path) -> Tokens:
    return Tokens(keys=KeySet(str(file)))


def test_a_token_that_a_key_of_the_set_signed_is_taken(tokens: Tokens) -> None:
    assert tokens.verify(signed(rsa_key(), "one")).user_id == "alice"
    assert tokens.verify(signed(ec_key(), "two")).user_id == "alice"
    with pytest.raises(TokenExpired):
        tokens.verify(signed(rsa_key(), "one", exp=1))


@pytest.mark.parametrize("claims", [{"exp": ...}, {"exp": None}, {"nbf": 9999999999}, {"aud": "somebody"}])
def test_the_claims_are_checked_as_with_a_secret(tokens: Tokens, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        tokens.verify(signed(rsa_key(), "one", **claims))


def test_a_token_that_another_key_signed_is_refused(tokens: Tokens) -> None:
    for forged in (signed(rsa_key(1), "one"), signed(ec_key(1), "two")):
        with pytest.raises(Unauthorized, match="ignature"):
            tokens.verify(forged)


def test_a_key_is_for_the_algorithm_of_its_type_alone(tokens: Tokens) -> None:
    for token in (signed(ec_key(), "one"), signed(rsa_key(), "two")):
        with pytest.raises(Unauthorized, match="does not publish"):
            tokens.verify(token)


def test_without_a_kid_the_only_key_for_the_algorithm_is_taken(tokens: Tokens, file: Path) -> None:
    assert tokens.verify(signed(rsa_key()))
    assert tokens.verify(signed(ec_key()))
    file.write_text(key_set(one=rsa_key(), other=rsa_key(1)))
    with pytest.raises(Unauthorized, match="does not publish"):
        Tokens(keys=KeySet(str(file))).verify(signed(rsa_key()))


LEFT_OUT = {
    "a secret": {"kty": "oct", "k": "AAAA", "kid": "bad", "alg": "HS256"},
    "for encryption": member(rsa_key(1), kid="bad", use="enc"),
    "for other operations": member(rsa_key(1), kid="bad", key_ops=["wrapKey"]),
    "another algorithm": member(rsa_key(1), kid="bad", alg="RS512"),
    "HS256 of an RSA key": member(rsa_key(1), kid="bad", alg="HS256"),
    "another curve": {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "bad"},
    "a point off the curve": member(ec_key(1), kid="bad", y=member(ec_key(2))["y"]),
    "a kid that is no text": member(rsa_key(1), kid=7),
    "a type that is none": {"kty": ["RSA"], "kid": "bad"},
    "no modulus": {"kty": "RSA", "e": "AQAB", "kid": "bad"},
    "no object": "RSA",
}


@pytest.mark.parametrize("left_out", LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_no_key_for_tokens_is_left_out_and_the_others_stay(file: Path, left_out: Any) -> None:
    file.write_text(json.dumps({"keys": [left_out, member(rsa_key(), kid="one")]}))
    tokens = Tokens(keys=KeySet(str(file)))
    assert tokens.verify(signed(rsa_key(), "one"))
    for key in (rsa_key(1), ec_key(1)):
        with pytest.raises(Unauthorized):
            tokens.verify(signed(key, "bad"))


def test_of_two_keys_with_one_name_the_first_counts(file: Path) -> None:
    file.write_text(json.dumps({"keys": [member(rsa_key(), kid="one"), member(rsa_key(1), kid="one")]}))
    tokens = Tokens(keys=KeySet(str(file)))
    assert tokens.verify(signed(rsa_key(), "one"))
    with pytest.raises(Unauthorized):
        tokens.verify(signed(rsa_key(1), "one"))


SHORT = json.dumps({"keys": [member(rsa_key(1, 1024), kid="short")]})
NO_SETS = [SHORT, "", "[]", "{}", '{"keys":{}}', '{"keys":[]}', '{"keys":[{"kty":"oct"}]}', "[" * 99999]


@pytest.mark.parametrize("text", NO_SETS, ids=lambda text: text[:20])
def test_a_file_without_keys_stops_the_start(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "keys.json").write_text(text)
    with pytest.raises(SettingsError, match=r"^jwt_jwks: .*keys\.json"):
        KeySet(str(path))


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        KeySet(str(tmp_path / "none.json"))


def test_a_key_that_comes_later_is_found_when_a_token_names_it(file: Path, clock: Clock) -> None:
    tokens = Tokens(keys=KeySet(str(file), clock))
    file.write_text(key_set(three=rsa_key(1)))
    clock.now += PAUSE_SECONDS
    assert tokens.verify(signed(rsa_key(1), "three"))


def test_a_key_that_goes_takes_its_tokens_with_it_also_those_that_were_seen(file: Path, clock: Clock) -> None:
    keys = KeySet(str(file), clock)
    tokens = Tokens(keys=keys)
    token = signed(rsa_key(), "one")
    assert tokens.verify(token)
    file.write_text(key_set(two=ec_key()))
    keys.reload()
    with pytest.raises(Unauthorized, match="does not publish"):
        tokens.verify(token)


def test_a_key_that_is_replaced_under_its_name_counts_no_more(file: Path) -> None:
    keys = KeySet(str(file))
    tokens = Tokens(keys=keys)
    token = signed(rsa_key(), "one")
    assert tokens.verify(token)
    file.write_text(key_set(one=rsa_key(1)))
    keys.reload()
    with pytest.raises(Unauthorized, match="ignature"):
        tokens.verify(token)


@pytest.mark.parametrize("broken", ["", '{"keys":[]}', None])
def test_while_the_set_cannot_be_read_the_known_keys_stay(file: Path, broken: str | None) -> None:
    keys = KeySet(str(file))
    file.unlink() if broken is None else file.write_text(broken)
    version = keys.version
    keys.reload()
    assert Tokens(keys=keys).verify(signed(rsa_key(), "one"))
    assert keys.version == version


def test_a_url_is_asked_once_for_many_unknown_keys(source: KeySource, clock: Clock) -> None:
    keys = KeySet(source.url, clock)
    tokens = Tokens(keys=keys)
    assert tokens.verify(signed(rsa_key(), "one"))
    assert source.asked == 1
    for number in range(50):
        with pytest.raises(Unauthorized):
            tokens.verify(signed(rsa_key(1), f"unknown {number}"))
    assert source.asked == 1
    clock.now += PAUSE_SECONDS
    source.body = key_set(one=rsa_key(), two=rsa_key(1))
    assert tokens.verify(signed(rsa_key(1), "two"))
    for number in range(50):
        with pytest.raises(Unauthorized):
            tokens.verify(signed(rsa_key(1), f"unknown {number}"))
    assert source.asked == 2


def test_a_known_key_never_waits_for_the_source(source: KeySource, clock: Clock) -> None:
    keys = KeySet(source.url, clock)
    tokens = Tokens(keys=keys)
    assert tokens.verify(signed(rsa_key(), "one"))
    source.body = None
    clock.now += PAUSE_SECONDS
    waiting = [threading.Thread(target=keys.reload, args=(PAUSE_SECONDS,)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    wait_until(lambda: source.asked == 2, "the source to be asked")
    assert tokens.verify(signed(rsa_key(), "one", sub="ben")).user_id == "ben"
    source.body = key_set(one=rsa_key())
    for thread in waiting:
        thread.join()
    assert source.asked == 2, "who waited for the answer to another's question asked again"


def test_only_so_many_wait_for_a_source_that_does_not_answer(
    source: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.body = None
    keys = KeySet(source.url)
    tokens = Tokens(keys=keys)
    ended: list[Exception] = []

    def ask() -> None:
        try:
            tokens.verify(signed(rsa_key(), "one"))
        except (Overloaded, Unauthorized) as error:
            ended.append(error)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(ended) == 40 - jwks._MOST_WAITING, "all but those that may wait")
    assert all(isinstance(error, Overloaded) for error in ended)
    source.body = key_set(one=rsa_key())
    for thread in threads:
        thread.join()
    assert len(ended) == 40 - jwks._MOST_WAITING
    assert source.asked == 1


def test_a_source_that_never_answered_is_no_reason_to_call_a_token_wrong(source: KeySource, clock: Clock) -> None:
    source.status = 500
    tokens = Tokens(keys=KeySet(source.url, clock))
    for _ in range(3):
        with pytest.raises(Overloaded, match="the gateway's log says why"):
            tokens.verify(signed(rsa_key(), "one"))
    assert source.asked == 1
    source.status = 200
    clock.now += PAUSE_SECONDS
    assert tokens.verify(signed(rsa_key(), "one"))


def answers_with(**members: Any) -> Callable[[KeySource], None]:
    return lambda source: source.__dict__.update(members)


BAD_ANSWERS = {
    "an error": answers_with(status=503),
    "a redirection": answers_with(status=302, fields={"Location": "/other.json"}, body=key_set(one=rsa_key(1))),
    "too much": answers_with(body=" " * (1 << 20) + key_set(one=rsa_key(1))),
    "compressed": answers_with(fields={"Content-Encoding": "gzip"}, body="\x1f\x8b"),
    "nothing": answers_with(body=""),
}


@pytest.mark.parametrize("breaks", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_an_answer_that_is_no_set_leaves_the_known_keys(source: KeySource, breaks: Callable[[KeySource], None]) -> None:
    keys = KeySet(source.url)
    keys.reload()
    breaks(source)
    keys.reload()
    assert source.asked == 2
    assert Tokens(keys=keys).verify(signed(rsa_key(), "one"))


def test_a_source_that_is_too_slow_is_given_up(source: KeySource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "_TIMEOUT_SECONDS", 0.05)
    source.body = None
    keys = KeySet(source.url)
    keys.reload()
    with pytest.raises(Overloaded):
        keys.find("RS256", "one")


def test_the_set_is_read_at_the_start_and_every_few_minutes(
    source: KeySource, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(jwks, "REFRESH_SECONDS", 0.01)
    keys = KeySet(source.url, clock)
    assert source.asked == 0
    keys.start()
    try:
        wait_until(lambda: keys.version == 1, "the set")
        source.body = key_set(two=rsa_key(1))
        clock.now += PAUSE_SECONDS
        wait_until(lambda: keys.version == 2, "the new set")
        assert keys.find("RS256", "two")
    finally:
        keys.close()


CONFUSED = {
    "HS256 with the public key": lambda: hmac_signed(rsa_key().public_key()),
    "none": lambda: unsigned("none"),
    "None": lambda: unsigned("None"),
    "an unknown algorithm": lambda: unsigned("RS512"),
    "a key of its own in jwk": lambda: signed(rsa_key(9), headers={"jwk": member(rsa_key(9))}, kid="mine"),
    "a key of its own in jwk, without kid": lambda: signed(rsa_key(9), headers={"jwk": member(rsa_key(9))}),
    "a set of its own in jku": lambda: signed(rsa_key(9), "mine", headers={"jku": "http://127.0.0.1:1/"}),
    "a path as kid": lambda: signed(rsa_key(9), "../../../../dev/null"),
    "a NUL in the kid": lambda: signed(rsa_key(9), "one\x00"),
    "an empty kid": lambda: signed(rsa_key(9), ""),
    "what must be understood": lambda: signed(rsa_key(), "one", headers={"crit": ["exp"]}),
    "what must be understood, unencoded": lambda: signed(rsa_key(), "one", headers={"crit": ["b64"]}),
}


def hmac_signed(public: Any) -> str:
    """A token whose secret is the public key."""
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, payload, _ = signed(rsa_key(), "one").split(".")
    head = encoded({"alg": "HS256", "kid": "one", "typ": "JWT"})
    return f"{head}.{payload}.{encoded(hmac.digest(pem, f'{head}.{payload}'.encode(), hashlib.sha256))}"


def unsigned(algorithm: str) -> str:
    _, payload, signature = signed(rsa_key(), "one").split(".")
    return f"{encoded({'alg': algorithm, 'kid': 'one'})}.{payload}.{'' if algorithm.lower() == 'none' else signature}"


def encoded(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize("secret", ["", "a secret beside the key set, as long as it has to be"])
@pytest.mark.parametrize("forge", CONFUSED.values(), ids=CONFUSED)
def test_no_trick_with_the_header_makes_a_token(file: Path, secret: str, forge: Callable[[], str]) -> None:
    tokens = Tokens(secret, keys=KeySet(str(file)))
    with pytest.raises(Unauthorized, match=r"^The token is not valid: "):
        tokens.verify(forge())


def test_the_secret_is_no_key_and_no_key_is_a_secret(file: Path, make_token: Callable[..., str], secret: str) -> None:
    both = Tokens(secret, keys=KeySet(str(file)))
    assert both.verify(make_token())
    assert both.verify(signed(rsa_key(), "one"))
    with pytest.raises(Unauthorized, match="its alg is not one of RS256, ES256"):
        Tokens(keys=KeySet(str(file))).verify(make_token())
    with pytest.raises(Unauthorized, match="its alg is not one of HS256"):
        Tokens(secret).verify(signed(rsa_key(), "one"))
