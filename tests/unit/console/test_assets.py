import re
from pathlib import Path

import pytest

from polyglot_gateway.console.assets import Assets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text('<script src="{assets}/main.js"></script>')
    (tmp_path / "main.js").write_text("import './vendor/other.js';")
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "other.js").write_text("1")
    (tmp_path / "assets.py").write_text("secret = 1")
    return tmp_path


def test_the_page_names_the_version_of_all_files(folder: Path) -> None:
    assets = Assets(folder)
    assert re.fullmatch("[0-9a-f]{16}", assets.version)
    assert assets.page.decode() == f'<script src="console/{assets.version}/main.js"></script>'


def test_files_have_their_types(folder: Path) -> None:
    assets = Assets(folder)
    script = assets.get(assets.version, "vendor/other.js")
    assert script
    assert (script.body, script.content_type) == (b"1", "text/javascript; charset=utf-8")


@pytest.mark.parametrize("name", ["assets.py", "index.html", "vendor", "", "../main.js", "vendor/../main.js"])
def test_what_is_no_file_of_the_page_is_not_given(folder: Path, name: str) -> None:
    assets = Assets(folder)
    assert assets.get(assets.version, name) is None


def test_another_version_is_not_given(folder: Path) -> None:
    assert Assets(folder).get("0" * 16, "main.js") is None


@pytest.mark.parametrize("changed", ["index.html", "main.js", "vendor/other.js"])
def test_any_change_is_another_version(folder: Path, changed: str) -> None:
    before = Assets(folder).version
    (folder / changed).write_text("changed")
    assert Assets(folder).version != before


def test_everything_that_the_files_of_the_package_name_is_there() -> None:
    assets = Assets()
    named = re.findall(rf'"console/{assets.version}/([^"]+)"', assets.page.decode())
    assert "main.js" in named
    for name in named:
        asset = assets.get(assets.version, name)
        assert asset, name
        named += [module for module in re.findall(r'from "\./([^"]+)"', asset.body.decode()) if module not in named]
    assert "rates.js" in named


def test_the_vendored_libraries_come_with_their_licences() -> None:
    assets = Assets()
    for name in ("vendor/uPlot.LICENSE", "vendor/phoenix.LICENSE"):
        licence = assets.get(assets.version, name)
        assert licence
        assert b"Permission is hereby granted" in licence.body
