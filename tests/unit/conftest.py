"""Settings as a user's folder and environment give them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polyglot_gateway.settings import Settings, load_settings


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Loads in an empty folder and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in [*Settings.model_fields, "mix_env", "go_processor_url", "go_processor_grpc_port"]:
        monkeypatch.delenv(name.upper(), raising=False)

    def run(toml: str = "", env: dict[str, str] | None = None, dotenv: str = "", **overrides: Any) -> Settings:
        Path("polyglot.toml").write_text(toml)
        Path(".env").write_text(dotenv)
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        return load_settings(**overrides)

    return run
