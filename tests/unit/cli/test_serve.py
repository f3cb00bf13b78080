import inspect

from polyglot_gateway.cli.serve import serve
from polyglot_gateway.settings import Settings


def test_every_setting_is_an_option():
    # PORT is the port of BIND for platforms that set it; apps stand in polyglot.toml only.
    assert set(inspect.signature(serve).parameters) == set(Settings.model_fields) - {"port", "apps"}


def test_help_names_the_defaults(polyglot):
    text = " ".join(polyglot("serve", "--help").stdout.replace("│", " ").split())
    for name in ("history_size", "history_bytes", "max_channels", "graceful_timeout", "durability"):
        default = Settings.model_fields[name].default
        assert f"--{name.replace('_', '-')}" in text
        assert f"[default: ({default})]" in text
