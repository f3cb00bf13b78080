import inspect
import typing

import pytest

from polyglot_gateway.cli.serve import serve
from polyglot_gateway.settings import Settings, load_settings


def test_every_setting_is_an_option():
    # PORT is the port of BIND for platforms that set it; apps stand in polyglot.toml only; others see command lines.
    not_options = {"port", "apps", "jwt_secret", "redis_url", "redis_password", "processor_url"}
    assert set(inspect.signature(serve).parameters) == set(Settings.model_fields) - not_options


def shown_default(name: str) -> str | bool:
    option = typing.get_type_hints(serve, include_extras=True)[name].__metadata__[0]
    return option.show_default


@pytest.mark.parametrize(
    "name",
    [name for name in inspect.signature(serve).parameters if Settings.model_fields[name].default_factory is None],
)
def test_the_help_shows_the_default_that_the_settings_have(name):
    default = Settings.model_fields[name].default
    if default in ([], None):
        assert shown_default(name) is True  # nothing is shown
    elif isinstance(default, list):
        assert shown_default(name) == ",".join(default)
    elif isinstance(default, float):
        assert float(shown_default(name)) == default
    else:
        assert shown_default(name) == str(default)


def test_the_help_shows_the_defaults_that_follow_from_others(monkeypatch, tmp_path):
    monkeypatch.setenv("POLYGLOT_ENV", "dev")
    settings = load_settings()
    assert shown_default("bind") == f"{settings.bind} in dev, 0.0.0.0:4000 in prod"
    assert shown_default("log_format") == f"{settings.log_format} in dev, json in prod"


def test_help_names_the_options(polyglot):
    text = polyglot("serve", "--help").stdout
    assert "--history-size" in text
    assert "[default: (1000)]" in " ".join(text.replace("│", " ").split())
