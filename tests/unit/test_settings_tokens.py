from collections.abc import Callable

import pytest

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings import Settings
from polyglot_gateway.settings_tokens import is_loopback

DIGEST = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
KEY = f'[apps.demo]\nkeys = [{{ sha256 = "{DIGEST}", scopes = ["publish"] }}]'


@pytest.mark.parametrize("source", ["keys.json", "/etc/keys.json", "https://id.example/keys", "http://127.0.0.1:1/a"])
def test_a_key_set_is_a_file_or_a_url(load: Callable[..., Settings], source: str) -> None:
    assert load(env={"JWT_JWKS": source}).jwt_jwks == source


@pytest.mark.parametrize(
    "source",
    [
        *("ftp://id.example/", "https://", "https:///keys", "http://id.example:0/", "https://id.example:x/"),
        *(
            "https://ü/",
            "https://a b/",
            "https://user:hunter2@id.example/",
            "https://hunter2@id.example/",
            "://hunter2",
        ),
    ],
)
def test_another_key_set_is_refused_and_not_repeated(load: Callable[..., Settings], source: str) -> None:
    with pytest.raises(SettingsError, match=r"^jwt_jwks: must ") as caught:
        load(env={"JWT_JWKS": source})
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("url", ["http://id.example/keys", "http://10.0.0.1/", "http://localhost.example/"])
def test_production_refuses_keys_that_somebody_between_could_change(load: Callable[..., Settings], url: str) -> None:
    with pytest.raises(SettingsError, match=r"^jwt_jwks: .*with POLYGLOT_ENV=prod use https://") as caught:
        load(KEY, {"JWT_JWKS": url}, polyglot_env="prod")
    assert len(caught.value.message.splitlines()) == 1
    assert load(KEY, polyglot_env="dev").jwt_jwks == url


@pytest.mark.parametrize(
    "source", ["http://127.0.0.1:9/", "http://[::1]/", "http://localhost/", "https://a/", "a.json"]
)
def test_production_takes_keys_that_nobody_can_change(load: Callable[..., Settings], source: str) -> None:
    assert load(KEY, {"JWT_JWKS": source}, polyglot_env="prod").jwt_jwks == source


def test_production_refuses_sockets_of_any_page_that_a_hook_may_let_in_by_cookie(load: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match=r"^cors_origins: '\*': .*name the origins one by one"):
        load(KEY, polyglot_env="prod", cors_origins="https://a.example,*", authorize="hooks:decide")
    assert load(KEY, polyglot_env="prod", cors_origins="*").cors_origins == ["*"]
    assert load(KEY, polyglot_env="prod", cors_origins="https://a.example", authorize="hooks:decide").authorize
    assert load(KEY, polyglot_env="dev", cors_origins="*", authorize="hooks:decide").authorize


def test_the_key_set_can_be_left_out(load: Callable[..., Settings]) -> None:
    settings = load(env={"JWT_JWKS": "keys.json", "JWT_ISSUER": "https://id.example", "JWT_AUDIENCE": "gateway"})
    assert settings.without_jwks().jwt_jwks is None
    assert (settings.jwt_issuer, settings.jwt_audience) == ("https://id.example", "gateway")


def test_which_hosts_are_this_machine() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.9.1", "::1")))
    assert not any(map(is_loopback, ("", "localhost.example", "10.0.0.1", "::", "0.0.0.0", "127.0.0.1.example")))
