"""The documents say what the code does."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from benchmarks.peers.__main__ import FIGURES

from polyglot_gateway import _core
from polyglot_gateway.cli import client
from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings import AppSettings, RuleSettings, Scope, Settings, load_settings
from polyglot_gateway.settings_apps import LimitSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def rows(document: str) -> dict[str, list[str]]:
    """The cells of the tables' lines that begin with a name in backticks, by that name."""
    found = {}
    for line in (DOCS / document).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and (name := re.fullmatch(r"`(\w+)`", cells[0])):
            found.setdefault(name[1], cells[1:])
    return found


def test_configuration_lists_every_setting_with_its_default():
    documented = rows("configuration.md")
    for name, field in Settings.model_fields.items():
        assert name in documented, f"docs/configuration.md does not list {name}"
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        if isinstance(default, str | int | Path):
            assert documented[name][0] == f"`{default}`", name


def test_configuration_lists_every_scope_and_every_member_of_a_rule():
    text = (DOCS / "configuration.md").read_text()
    for scope in get_args(Scope):
        assert f"| `{scope}` |" in text
    for member in RuleSettings.model_fields:
        assert f"`{member}`" in text
    assert set(AppSettings.model_fields) == {"keys", "rules", "limits"}


def test_every_limit_is_documented():
    for document in ("configuration.md", "limits.md"):
        text = (DOCS / document).read_text()
        assert [member for member in LimitSettings.model_fields if f"`{member}`" not in text] == []


def test_configuration_lists_the_variables_of_the_client_commands():
    text = (DOCS / "configuration.md").read_text()
    for option in (client.Url, client.Key):
        variable = option.__metadata__[0].envvar
        assert f"| `{variable}` |" in text
    assert f"`{client.DEFAULT_URL}`" in text


def test_errors_lists_every_code_as_the_core_has_it():
    documented = rows("errors.md")
    assert set(documented) == set(_core.CODES) | {SettingsError.code}
    for name, info in _core.CODES.items():
        assert documented[name][-1] == info.mend
        if not name.startswith("storage_"):
            assert documented[name][0] == str(info.http_status)


def test_routes_says_what_the_gateway_says_of_itself():
    command = [sys.executable, ROOT / "scripts" / "routes.py"]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert (DOCS / "routes.md").read_text() == written


def test_benchmarks_lists_every_figure():
    text = (ROOT / "BENCHMARKS.md").read_text()
    assert [figure for figure in FIGURES if f"\n| `{figure}` |" not in text] == []


def test_errors_shows_an_answer_as_it_is():
    text = (DOCS / "errors.md").read_text()
    shown = json.loads(text.partition("```json\n")[2].partition("```")[0])
    real = json.loads(_core.problem_json("invalid_json", "…", 8, "…"))
    assert shown | {"detail": real["detail"]} == real


def bit_ceil(number: int) -> int:
    return 1 << (number - 1).bit_length()


@pytest.mark.parametrize(
    "sizes",
    [
        {"history_size": 1000, "max_channels": 10000, "idempotency_keys": 65536, "history_bytes": 134217728},
        {"history_size": 1023, "max_channels": 7, "idempotency_keys": 100, "history_bytes": 1 << 20},
        {"history_size": 1024, "max_channels": 300, "idempotency_keys": 1, "history_bytes": (1 << 20) + 1},
    ],
)
def test_history_gives_the_size_of_the_file(tmp_path, sizes):
    text = (DOCS / "history.md").read_text()
    formula = text.partition("```\n")[2].partition("```")[0]
    parts = [re.split(r" {3,}", line.strip().removeprefix("+ "))[0] for line in formula.splitlines()]
    sized = [eval(part, {"bit_ceil": bit_ceil}, sizes) for part in parts]
    _core.Gateway(str(tmp_path), **sizes).close()
    assert (tmp_path / "history.pgs").stat().st_size == sum(-(-size // 4096) * 4096 for size in sized)


def test_history_gives_the_size_that_the_defaults_make(tmp_path):
    _core.Gateway(str(tmp_path)).close()
    size = (tmp_path / "history.pgs").stat().st_size
    assert f"The defaults give {round(size / 2**20)} MiB." in (DOCS / "history.md").read_text()


def test_the_examples_are_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "polyglot.toml").write_text((ROOT / "polyglot.toml.example").read_text())
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    assert load_settings().apps["demo-app"].rules[0].channels == "room:*"


def test_the_example_opens_no_door_in_production(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = (ROOT / "polyglot.toml.example").read_text()
    (tmp_path / "polyglot.toml").write_text(example)
    with pytest.raises(SettingsError, match="no app has a key"):
        load_settings(polyglot_env="prod")
    block = "\n".join(re.findall(r"^# (\[\[.*|\w+ = [\"\[].*)$", example, re.MULTILINE))
    (tmp_path / "polyglot.toml").write_text(block)
    with pytest.raises(SettingsError, match="keys generate"):
        load_settings(polyglot_env="prod")
    (tmp_path / "polyglot.toml").write_text(block.replace("<the key's SHA-256>", "5a" * 32))
    assert load_settings(polyglot_env="prod").apps["demo-app"].keys[0].name == "ci"


def test_every_line_of_the_env_example_is_a_setting():
    names = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_the_tour_passes_through_every_room_of_the_server():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = text.partition("**The rooms**")[2].partition("**Falcon**")[0]
    listed = set(re.findall(r"`(\w+)`", rooms)) - {"_append", "_application", "_subscriber", "_longpoll", "_refusal"}
    assert listed == {header.stem for header in (ROOT / "cpp" / "server").glob("*.hpp")}


def test_the_documents_name_every_code_that_a_socket_is_closed_with():
    header = (ROOT / "cpp" / "server" / "websocket_session.hpp").read_text()
    codes = re.findall(r"kClose\w+ = (\d+);", header)
    text = (DOCS / "websocket.md").read_text()
    assert codes
    assert [code for code in codes if f"\n| {code} |" not in text] == []


@pytest.mark.parametrize("document", sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")]), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target
