import pytest

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _no_settings_of_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, ""),
        ({"redis_url": "rediss://user:p%40ss@redis.example:6380/2"}, "rediss://user:p%40ss@redis.example:6380/2"),
        ({"redis_url": "cluster://:p@one:7000,[::1]:7001"}, "cluster://:p@one:7000,[::1]:7001"),
        ({"redis_url": "clusters://one:7000?ssl_ca_certs=ca.pem"}, "clusters://one:7000?ssl_ca_certs=ca.pem"),
        ({"redis_host": "localhost"}, "redis://localhost:6379"),
        ({"redis_host": "redis.example", "redis_port": "6380"}, "redis://redis.example:6380"),
        ({"redis_host": "::1", "redis_password": "p@:/ss"}, "redis://:p%40%3A%2Fss@[::1]:6379"),
    ],
)
def test_where_redis_is(monkeypatch, given, url):
    for name, value in given.items():
        monkeypatch.setenv(name.upper(), value)
    settings = load_settings()
    assert settings.redis() == url
    assert settings.without_redis().redis() == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"redis_url": "http://:hunter2@redis"}, "redis_url"),
        ({"redis_url": "redis://:hunter2@a", "redis_host": "b"}, "redis_host: redis_url is given too"),
        ({"redis_port": "0"}, "redis_port"),
        ({"redis_url": "redis://:hunter2#a@h:6379"}, "redis_url"),
        ({"redis_url": "redis://:hunter2\u2100@h:6379"}, "redis_url"),
        ({"redis_url": "sentinel://:hunter2@h/mymaster"}, "redis_url"),
        ({"redis_url": "sentinel://:hunter2@h:1"}, "redis_url"),
        ({"redis_url": "sentinel://h:0/m"}, "redis_url"),
        ({"redis_url": "cluster://:hunter2@h"}, "redis_url"),
        ({"redis_url": "cluster://:hunter2@h:1,i"}, "redis_url"),
        ({"redis_url": "clusters://:hunter2@h:1/0"}, "redis_url"),
        ({"redis_url": "cluster://:7?hunter2@h:1"}, "redis_url"),
        ({"redis_url": "redis://:12#hunter2@h:6379"}, "redis_url"),
        ({"redis_url": "redis://:6380/hunter2@h"}, "redis_url"),
        ({"redis_url": "redis://:7?hunter2@h:1"}, "redis_url"),
        ({"redis_prefix": "no spaces"}, "redis_prefix"),
        ({"redis_ttl": "1"}, "redis_ttl"),
        ({"on_engine_down": "wait", "redis_host": "a"}, "on_engine_down"),
        ({"on_engine_down": "spool"}, "on_engine_down: spool is for events that are kept in Redis"),
        ({"spool_bytes": "1000", "redis_host": "a"}, "spool_bytes"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(given, said):
    with pytest.raises(SettingsError) as raised:
        load_settings(**given)
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_passwords_are_not_shown():
    shown = load_settings(redis_host="a", redis_password="hunter2").shown()
    assert "hunter2" not in str(shown)
    assert "hunter2" not in str(load_settings(redis_url="redis://:hunter2@a").shown())


def test_what_concerns_this_machine_alone_does_not_wait_for_redis():
    settings = load_settings(redis_host="a", on_engine_down="spool")
    assert settings.on_engine_down == "spool"
    assert settings.without_redis().on_engine_down == "fail"
