import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.loading import load_function


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which is not where Python looks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    return tmp_path


def test_a_hook_is_found_in_the_working_directory(hooks: Path) -> None:
    (hooks / "hooks_of_tests").mkdir()
    (hooks / "hooks_of_tests" / "auth.py").write_text("def authorize(request):\n    return request.app\n")
    hook: Any = load_function("authorize", "hooks_of_tests.auth:authorize")
    assert hook(SimpleNamespace(app="demo")) == "demo"


def test_what_python_finds_elsewhere_goes_before_the_working_directory(
    hooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    (hooks / "tabnanny.py").write_text("def authorize(request):\n    return None\n")
    with pytest.raises(SettingsError, match="tabnanny has no function authorize"):
        load_function("authorize", "tabnanny:authorize")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:authorize", "cannot import no_such_module"),
        ("json.no_such_module:authorize", r"cannot import json\.no_such_module"),
        ("json:authorize", "json has no function authorize"),
        ("json:__name__", "json has no function __name__"),
        ("json", "must be module:function"),
        (":authorize", "must be module:function"),
        ("broken_hooks_of_tests:authorize", "cannot import broken_hooks_of_tests: at import"),
    ],
)
def test_a_hook_that_is_not_there_is_a_wrong_setting(hooks: Path, name: str, said: str) -> None:
    (hooks / "broken_hooks_of_tests.py").write_text("raise RuntimeError('at import')\n")
    with pytest.raises(SettingsError, match=rf"^authorize: '{name}': {said}"):
        load_function("authorize", name)
