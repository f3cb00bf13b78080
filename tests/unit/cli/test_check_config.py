import json

from polyglot_gateway.errors import SettingsError


def test_shows_the_effective_values_and_no_secret(polyglot, tmp_path, monkeypatch):
    digest = "ab" * 32
    (tmp_path / "polyglot.toml").write_text(
        f'workers = 3\n[apps.demo]\nkeys = [{{ name = "ci", sha256 = "{digest}", scopes = ["publish"] }}]\n'
    )
    monkeypatch.setenv("HISTORY_SIZE", "77")
    result = polyglot("check-config")
    assert result.exit_code == 0
    assert digest not in result.stdout
    values = json.loads(polyglot("check-config", "--json").stdout)
    assert (values["workers"], values["history_size"], values["max_channels"]) == (3, 77, 10000)
    assert values["apps"]["demo"]["keys"] == [{"name": "ci", "scopes": ["publish"], "expires": None}]


def test_every_wrong_setting_is_said(polyglot, tmp_path, monkeypatch):
    (tmp_path / "polyglot.toml").write_text("workers = 0\nunknown = 1\n")
    monkeypatch.setenv("HISTORY_SIZE", "many")
    result = polyglot("check-config", fails=SettingsError)
    assert result.exit_code == 1
    lines = result.exception.message.splitlines()
    assert len(lines) == 3
    for name in ("workers", "unknown", "history_size"):
        assert any(line.startswith(name) for line in lines)
