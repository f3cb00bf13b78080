"""The version stands in more than one place, and is the same in all of them."""

import re
import tomllib
from pathlib import Path

from polyglot_gateway import _core

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_same_everywhere() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cmake = re.search(r"project\(polyglot_gateway VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert cmake
    assert cmake[1] == declared == _core.__version__


def test_the_changelog_has_an_entry_for_it() -> None:
    assert f"## {_core.__version__}" in (ROOT / "CHANGELOG.md").read_text()
