"""Settings as a container would find them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from polyglot_gateway.settings import Settings, load_settings

KEY = f"""
[[apps.demo-app.keys]]
sha256 = "{hashlib.sha256(b"of the tests alone").hexdigest()}"
scopes = ["publish"]
"""


@pytest.fixture
def settings_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], Settings]:
    """Makes the settings of a gateway that has these variables and no others, and a polyglot.toml with a key.

    Each variable has to be a setting's, or another name of one.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "polyglot.toml").write_text(KEY)
    known = {*Settings.model_fields, "mix_env", "go_processor_url", "go_processor_grpc_port"}
    for name in known:
        monkeypatch.delenv(name.upper(), raising=False)

    def load(variables: dict[str, str]) -> Settings:
        assert {name.lower() for name in variables} <= known
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if "POLYGLOT_CONFIG" in variables:
            monkeypatch.setenv("POLYGLOT_CONFIG", str(tmp_path / "polyglot.toml"))
        return load_settings()

    return load
