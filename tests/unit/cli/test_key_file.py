import os
import stat
import threading
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tomlkit

from polyglot_gateway.cli.key_file import block_of, changing, find, read
from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings import KeySettings

END = datetime(2999, 1, 31, 12, tzinfo=UTC)
DIGESTS = ["5a" * 32, "a5" * 32, "0f" * 32]


def key(number: int, name: str = "ci", expires: datetime | None = None) -> KeySettings:
    return KeySettings(name=name, sha256=DIGESTS[number], scopes=["publish", "history"], expires=expires)


TABLES = f"""\
# the first line
workers = 2  # beside a value

[[apps.demo.keys]]
name = "one"  # of the backend
sha256 = "{DIGESTS[0]}"
scopes = [
  "publish",  # one
  "history",
]

# between two keys
[[apps.demo.keys]]
name = "two"
sha256 = "{DIGESTS[1]}"
scopes = ["publish"]

[apps.demo]
rules = [{{ channels = "room:*" }}]

[apps."*"]
rules = [{{ channels = "log:*" }}]
# the last line"""
IN_LINE = f"""\
[apps]
# in a table of all
demo = {{ keys = [
  {{ name = "one", sha256 = "{DIGESTS[0]}", scopes = ["publish"] }},  # of the backend
  {{ name = "two", sha256 = "{DIGESTS[1]}", scopes = ["publish"] }},
] }}
"""
DOTTED = f"""\
apps.demo.keys = [{{ name = "one", sha256 = "{DIGESTS[0]}", scopes = ["publish"] }},
  {{ name = "two", sha256 = "{DIGESTS[1]}", scopes = ["publish"] }}]
"""


@pytest.fixture(params=[TABLES, IN_LINE, DOTTED], ids=["tables", "in line", "dotted"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with the keys `one` and `two`, written in each way."""
    (path := tmp_path / "polyglot.toml").write_text(request.param)
    return path


def comments(path: Path) -> list[str]:
    return [line.partition("#")[2] for line in path.read_text().splitlines() if "#" in line]


def test_a_key_is_added_behind_the_others(file: Path) -> None:
    before, said = read(file), comments(file)
    with changing(file, "demo") as change:
        assert [known.name for known in change.keys] == ["one", "two"]
        change.add(key(2, 'a"b\\ ü', END))
    after = read(file)
    assert after["demo"].keys == [*before["demo"].keys, key(2, 'a"b\\ ü', END)]
    assert after["demo"].rules == before["demo"].rules
    assert comments(file) == said


def test_a_key_gets_an_end_and_another_goes(file: Path) -> None:
    before, said = read(file), comments(file)
    with changing(file, "demo") as change:
        change.end(0, END)
        change.remove(1)
    (left,) = read(file)["demo"].keys
    assert left == before["demo"].keys[0].model_copy(update={"expires": END})
    assert set(comments(file)) >= set(said) - {" between two keys"}
    assert {name: app for name, app in read(file).items() if name != "demo"} == {
        name: app for name, app in before.items() if name != "demo"
    }


def test_all_keys_of_an_app_can_go(file: Path) -> None:
    with changing(file, "demo") as change:
        change.remove(0)
        change.remove(1)
    assert "demo" not in read(file) or read(file)["demo"].keys == []


def test_nothing_changed_is_nothing_written(file: Path) -> None:
    before = file.read_bytes()
    with changing(file, "demo"):
        pass
    assert file.read_bytes() == before


def test_a_file_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "polyglot.toml"
    assert read(path) == {}
    with changing(path, "demo") as change:
        change.add(key(0))
    assert read(path)["demo"].keys == [key(0)]


def test_an_app_is_begun(file: Path) -> None:
    with changing(file, "new-app") as change:
        change.add(key(2))
    assert read(file)["new-app"].keys == [key(2)]
    assert len(read(file)["demo"].keys) == 2


@pytest.mark.parametrize(
    "text", ["not even toml", "workers = 0", "unknown = 1", '[apps.demo]\nkeys = [{ name = "x" }]']
)
def test_a_file_that_is_not_valid_is_not_touched(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "polyglot.toml").write_text(text)
    with pytest.raises(SettingsError), changing(path, "demo") as change:
        change.add(key(0))
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["polyglot.toml"]


def test_what_goes_wrong_meanwhile_leaves_the_file(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(IndexError), changing(file, "demo") as change:
        change.end(0, change.keys[7].expires)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == ["polyglot.toml"]


def test_what_would_not_say_what_is_meant_is_not_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    dumps = tomlkit.dumps
    for wrong in (lambda _: "", lambda document: dumps(document) + '\n[apps."x"]\nrules = 7\n'):
        monkeypatch.setattr(tomlkit, "dumps", wrong)
        with pytest.raises(SettingsError, match="change it by hand"), changing(file, "demo") as change:
            change.remove(0)
        assert file.read_bytes() == before
        assert os.listdir(file.parent) == ["polyglot.toml"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be changed: No such file"), changing(tmp_path / "a" / "b", "demo"):
        pass


def test_mode_and_link_stay(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    (link := tmp_path / "elsewhere").mkdir()
    link /= "link.toml"
    link.symlink_to(file)
    with changing(link, "demo") as change:
        change.remove(0)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert len(read(file)["demo"].keys) == 1


def test_changes_at_the_same_time_lose_nothing(file: Path) -> None:
    def add(number: int) -> None:
        with changing(file, "demo") as change:
            change.add(KeySettings(name=str(number), sha256=f"{number:064x}", scopes=["publish"]))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {known.name for known in read(file)["demo"].keys}
    assert names == {"one", "two", *map(str, range(10))}


def test_a_block_is_toml() -> None:
    (listed,) = tomllib.loads(block_of("demo", key(0, 'a"b\\ ü', END)))["apps"]["demo"]["keys"]
    assert listed == {"name": 'a"b\\ ü', "sha256": DIGESTS[0], "scopes": ["publish", "history"], "expires": END}


def test_the_file_is_the_one_that_the_gateway_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(None) == Path("polyglot.toml")
    (tmp_path / "other.toml").write_text("")
    monkeypatch.setenv("POLYGLOT_CONFIG", "other.toml")
    assert find(None) == Path("other.toml")
    with pytest.raises(SettingsError, match="no such file"):
        find("none.toml")
