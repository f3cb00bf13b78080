import re
from collections.abc import Callable
from pathlib import Path

import pytest

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings import Settings, load_settings

DIGEST = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
KEY = f'{{ name = "ci", sha256 = "{DIGEST}", scopes = ["publish", "history"] }}'


def test_the_defaults_serve_a_newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [*Settings.model_fields, "mix_env"]:
        monkeypatch.delenv(name.upper(), raising=False)
    settings = load_settings()
    assert (settings.polyglot_env, settings.bind, settings.log_format) == ("dev", "127.0.0.1:4000", "console")
    assert settings.console
    assert 1 <= settings.workers <= 64
    assert (settings.history_size, settings.max_event_bytes, settings.max_batch_bytes) == (1000, 65536, 1048576)
    assert (settings.trusted_proxies, settings.cors_origins) == (["127.0.0.1", "::1"], [])


def test_production_listens_for_others_and_logs_for_machines(load: Callable[..., Settings]) -> None:
    settings = load(f"[apps.demo]\nkeys = [{KEY}]", {"POLYGLOT_ENV": "prod"})
    assert (settings.bind, settings.log_format, settings.development) == ("0.0.0.0:4000", "json", False)
    assert settings.warnings() == []


def test_the_console_is_there_in_production_only_where_it_is_wanted(load: Callable[..., Settings]) -> None:
    toml = f"[apps.demo]\nkeys = [{KEY}]"
    assert not load(toml, {"POLYGLOT_ENV": "prod"}).console
    assert load(toml, {"POLYGLOT_ENV": "prod", "CONSOLE": "true"}).console
    assert not load(toml, {"CONSOLE": "false"}).console


def test_the_nearest_source_wins(load: Callable[..., Settings]) -> None:
    toml, dotenv, env = (
        "workers = 2\nhistory_size = 2\nhistory_ttl = 2\nmax_channels = 2",
        ("WORKERS=3\nHISTORY_SIZE=3\nHISTORY_TTL=3\n"),
        {"WORKERS": "4", "HISTORY_SIZE": "4"},
    )
    settings = load(toml, env, dotenv, workers=5)
    assert (settings.workers, settings.history_size, settings.history_ttl, settings.max_channels) == (5, 4, 3, 2)


def test_an_override_of_none_is_not_given(load: Callable[..., Settings]) -> None:
    assert load(env={"WORKERS": "7"}, workers=None).workers == 7


def test_foreign_and_empty_variables_are_ignored(load: Callable[..., Settings]) -> None:
    settings = load(
        env={"HISTORY_SIZE": "", "APPS": "x", "REDIS_HOST": "r", "SECRET_KEY_BASE": "s"},
        dotenv="SECRET_KEY_BASE=s\nWORKERS=\n",
    )
    assert settings.history_size == 1000
    assert settings.apps == {}


@pytest.mark.parametrize(
    ("env", "toml", "found"),
    [
        ({"MIX_ENV": "prod"}, "", "prod"),
        ({"MIX_ENV": "prod"}, 'polyglot_env = "dev"', "prod"),
        ({"MIX_ENV": "dev", "POLYGLOT_ENV": "prod"}, "", "prod"),
    ],
)
def test_mix_env_is_another_name(load: Callable[..., Settings], env: dict[str, str], toml: str, found: str) -> None:
    assert load(f"{toml}\n[apps.demo]\nkeys = [{KEY}]", env).polyglot_env == found


@pytest.mark.parametrize(
    ("env", "overrides", "bind"),
    [
        ({"PORT": "5000"}, {}, "127.0.0.1:5000"),
        ({"PORT": "5000", "BIND": "[::1]:4000"}, {}, "[::1]:5000"),
        ({"PORT": "5000", "BIND": "unix:/run/p.sock"}, {}, "unix:/run/p.sock"),
        ({"PORT": "5000"}, {"bind": "0.0.0.0:6000"}, "0.0.0.0:6000"),
        ({"BIND": "localhost:4100"}, {}, "localhost:4100"),
        ({"PORT": "5000"}, {"bind": "0.0.0.0:6000", "port": 7000}, "0.0.0.0:7000"),
    ],
)
def test_port_replaces_the_port_of_bind(
    load: Callable[..., Settings], env: dict[str, str], overrides: dict[str, str], bind: str
) -> None:
    assert load(env=env, **overrides).bind == bind


@pytest.mark.parametrize(
    ("toml", "dotenv", "env", "bind"),
    [
        ("port = 5000", "", {"BIND": "0.0.0.0:8000"}, "0.0.0.0:8000"),
        ("port = 5000", "BIND=0.0.0.0:8000", {}, "0.0.0.0:8000"),
        ("", "PORT=5000", {"BIND": "0.0.0.0:8000"}, "0.0.0.0:8000"),
        ('bind = "0.0.0.0:8000"', "PORT=5000", {}, "0.0.0.0:5000"),
        ('bind = "0.0.0.0:8000"\nport = 5000', "", {}, "0.0.0.0:5000"),
    ],
)
def test_port_says_nothing_about_the_bind_of_a_nearer_source(
    load: Callable[..., Settings], toml: str, dotenv: str, env: dict[str, str], bind: str
) -> None:
    assert load(toml, env, dotenv).bind == bind


def test_a_dotenv_file_of_another_encoding_is_said(load: Callable[..., Settings], tmp_path: Path) -> None:
    settings = load()
    (tmp_path / ".env").write_bytes("DATA_DIR=d\u00e4ta".encode("latin-1"))
    for read in (load_settings, settings.reread):
        with pytest.raises(SettingsError, match=r"^\.env: is not UTF-8"):
            read()


def test_lists_are_separated_by_commas_or_toml_arrays(load: Callable[..., Settings]) -> None:
    settings = load('trusted_proxies = ["10.0.0.0/8"]', {"CORS_ORIGINS": "https://a.example, http://b.example:8080,"})
    assert settings.cors_origins == ["https://a.example", "http://b.example:8080"]
    assert settings.trusted_proxies == ["10.0.0.0/8"]


WRONG_VARIABLES = [
    ("POLYGLOT_ENV", "test", "'dev' or 'prod'"),
    ("BIND", "4000", "host:port or unix:path"),
    ("BIND", ":4000", "host:port or unix:path"),
    ("BIND", "host:0", "1 to 65535"),
    ("BIND", "unix:", "name the socket"),
    ("PORT", "70000", "65535"),
    ("WORKERS", "0", "greater than or equal to 1"),
    ("WORKERS", "65", "less than or equal to 64"),
    ("WORKERS", "two", "valid integer"),
    ("SERVER", "nginx", "'native' or 'wsgi'"),
    ("HISTORY_SIZE", "65536", "65535"),
    ("HISTORY_TTL", "-1", "greater than or equal to 0"),
    ("HISTORY_TTL", "inf", "finite"),
    ("HISTORY_BYTES", "1048575", "1048576"),
    ("MAX_CHANNELS", "1000001", "1000000"),
    ("MAX_EVENT_BYTES", "63", "64"),
    ("MAX_EVENT_BYTES", "1048577", "1048576"),
    ("MAX_BATCH_BYTES", "1", "64"),
    ("IDEMPOTENCY_KEYS", "0", "1"),
    ("DURABILITY", "disk", "'process', 'interval' or 'sync'"),
    ("CORS_ORIGINS", "example.com", "https://example.com"),
    ("CORS_ORIGINS", "https://example.com/app", "without a path"),
    ("TRUSTED_PROXIES", "proxy.local", "10.0.0.0/8"),
    ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ("LOG_FORMAT", "xml", "'console' or 'json'"),
    ("GRACEFUL_TIMEOUT", "-1", "greater than or equal to 0"),
    ("AUTHORIZE", "my_service.auth", "module:function"),
    ("PROCESSOR_FUNCTION", "moderate", "module:function"),
    ("AUTHORIZE", "auth:authorize()", "module:function"),
    ("AUTHORIZE", "../auth:authorize", "module:function"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG_VARIABLES)
def test_a_wrong_variable_is_named_with_its_value_and_what_is_allowed(
    load: Callable[..., Settings], name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(env={name: value})
    (line,) = caught.value.message.splitlines()
    assert line.startswith(name.lower())
    assert value in line
    assert allowed in line


WRONG_FILES = [
    ("nonsense = 1", r"nonsense: there is no such setting"),
    ("workers = true", r"workers: True: must be a number"),
    ("apps = 1", r"apps: 1: "),
    ("[apps", r"polyglot_config: 'polyglot\.toml' is not TOML: "),
]


@pytest.mark.parametrize(("toml", "line"), WRONG_FILES)
def test_what_is_wrong_in_the_file_is_named(load: Callable[..., Settings], toml: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(toml)
    assert any(re.match(line, said) or re.search(line, said) for said in caught.value.message.splitlines())


def test_each_wrong_setting_has_its_line(load: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError) as caught:
        load("nonsense = 1\nmax_channels = 0", {"WORKERS": "0", "LOG_LEVEL": "loud"})
    named = [line.partition(":")[0] for line in caught.value.message.splitlines()]
    assert sorted(named) == ["log_level", "max_channels", "nonsense", "workers"]


def test_a_file_that_is_named_has_to_exist(load: Callable[..., Settings], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"polyglot_config: 'other\.toml'"):
        load(env={"POLYGLOT_CONFIG": "other.toml"})
    (tmp_path / "other.toml").write_text("workers = 3")
    assert load("workers = 9").workers == 3


def test_production_needs_a_key(load: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match="no app has a key"):
        load('[apps.demo]\nrules = [{ channels = "*" }]', polyglot_env="prod")


@pytest.mark.parametrize(
    ("secret", "trouble"),
    [
        ("x" * 31, "shorter than 32 bytes"),
        ("hunter2", "shorter than 32 bytes"),
        ("a-string-secret-at-least-256-bits-long", "everybody knows"),
    ],
)
def test_production_refuses_a_weak_secret_and_does_not_show_it(
    load: Callable[..., Settings], secret: str, trouble: str
) -> None:
    toml = f"[apps.demo]\nkeys = [{KEY}]"
    with pytest.raises(SettingsError) as caught:
        load(toml, {"JWT_SECRET": secret}, polyglot_env="prod")
    (line,) = caught.value.message.splitlines()
    assert line.startswith("jwt_secret: ")
    assert trouble in line
    assert "openssl rand -hex 32" in line
    assert secret not in line
    assert load(toml, polyglot_env="dev").jwt_secret.get_secret_value() == secret


def test_production_takes_a_secret_of_32_bytes_and_none_at_all(load: Callable[..., Settings]) -> None:
    toml = f"[apps.demo]\nkeys = [{KEY}]"
    assert load(toml, polyglot_env="prod").jwt_secret.get_secret_value() == ""
    secret = "ü" * 16
    assert load(toml, {"JWT_SECRET": secret}, polyglot_env="prod").jwt_secret.get_secret_value() == secret


def test_a_secret_is_never_shown(load: Callable[..., Settings]) -> None:
    assert load().shown()["jwt_secret"] == ""
    settings = load(env={"JWT_SECRET": "hunter2"})
    assert "hunter2" not in f"{settings.shown()} {settings!r} {settings}"
    assert settings.shown()["jwt_secret"]
    with pytest.raises(SettingsError, match=r"^jwt_secret: ") as caught:
        load(jwt_secret=["hunter2"])
    assert "hunter2" not in caught.value.message
    with pytest.raises(SettingsError, match=r"^jwt_secret: must be text in UTF-8$"):
        load(env={"JWT_SECRET": "\udcff" * 32})


def test_the_authorize_hook_is_a_module_and_a_function(load: Callable[..., Settings]) -> None:
    assert load().authorize is None
    assert load(env={"AUTHORIZE": "my_service.auth:authorize"}).authorize == "my_service.auth:authorize"


def test_development_is_warned_of(load: Callable[..., Settings]) -> None:
    assert len(load().warnings()) == 1
    assert len(load(bind="localhost:1").warnings()) == len(load(bind="unix:/run/p.sock").warnings()) == 1
    assert "0.0.0.0:4000" in load(bind="0.0.0.0:4000").warnings()[1]


def test_a_limit_that_redis_does_not_know_is_warned_of(load: Callable[..., Settings]) -> None:
    toml = "[apps.demo.limits]\nchannels = 5\n[apps.other.limits]\nconnections = 5\n"
    assert not any("limits" in line for line in load(toml).warnings())
    said = load(toml, redis_url="redis://localhost").warnings()
    assert [line for line in said if "limits" in line] == [
        "apps.demo.limits: channels is not looked at, because the channels are in Redis"
    ]


def test_what_is_shown_holds_no_digest(load: Callable[..., Settings]) -> None:
    shown = load(f"[apps.demo]\nkeys = [{KEY}]").shown()
    assert shown["apps"]["demo"]["keys"] == [{"name": "ci", "scopes": ["publish", "history"], "expires": None}]
    assert DIGEST not in str(shown)
    assert shown["bind"] == "127.0.0.1:4000"


def test_rereading_takes_the_apps_and_leaves_the_rest(load: Callable[..., Settings], tmp_path: Path) -> None:
    settings = load("workers = 2\n[apps.old]", history_size=500)
    (tmp_path / "polyglot.toml").write_text("workers = 3\n[apps.new]")
    fresh = settings.reread()
    assert list(fresh.apps) == ["new"]
    assert (fresh.workers, fresh.history_size) == (2, 500)
    assert list(settings.apps) == ["old"]
    assert list(fresh.reread().apps) == ["new"]


def test_rereading_refuses_what_does_not_go_with_the_rest(load: Callable[..., Settings], tmp_path: Path) -> None:
    settings = load("history_size = 100")
    rule = '[apps.demo]\nrules = [{ channels = "*", history_size = 200 }]'
    (tmp_path / "polyglot.toml").write_text(f"history_size = 300\n{rule}")
    with pytest.raises(SettingsError, match="1 to 100"):
        settings.reread()
