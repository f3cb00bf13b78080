import hashlib
import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polyglot_gateway.errors import InvalidApp, SettingsError
from polyglot_gateway.settings import load_settings


def made(result) -> tuple[str, str]:
    """The block for polyglot.toml, and the key."""
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr.split()[-1]


def test_a_new_key_is_shown_apart_from_its_block(polyglot):
    block, key = made(
        polyglot("keys", "generate", "demo-app", "--name", "ci", "--scope", "publish", "--scope", "admin")
    )
    assert key not in block
    (listed,) = tomllib.loads(block)["apps"]["demo-app"]["keys"]
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert listed == {"name": "ci", "sha256": digest, "scopes": ["publish", "admin"]}


def test_keys_differ(polyglot):
    assert made(polyglot("keys", "generate", "demo"))[1] != made(polyglot("keys", "generate", "demo"))[1]


@pytest.mark.parametrize("before", ["", "workers = 2", '[apps.demo]\nrules = [{ channels = "*" }]\n[apps."*"]'])
def test_blocks_can_be_added_to_a_file_one_after_the_other(polyglot, before):
    name = 'a"b\\ ü'
    blocks = [made(polyglot("keys", "generate", *of))[0] for of in (("demo",), ("other",), ("demo", "--name", name))]
    Path("polyglot.toml").write_text(before + "".join(blocks))
    apps = load_settings(polyglot_env="prod").apps
    assert [key.name for key in apps["demo"].keys] == ["default", name]
    assert len(apps["other"].keys) == 1


def test_the_block_of_a_given_key(polyglot):
    result = polyglot("keys", "hash", "demo", stdin="abc\n")
    (listed,) = tomllib.loads(result.stdout)["apps"]["demo"]["keys"]
    assert listed["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hash", "demo"), "stdin"),
        (("generate", "demo", "--scope", "everything"), "everything"),
        (("generate", "demo", "--name", "a\nb"), "--name"),
        (("generate", "demo", "--expires", "tomorrow"), "--expires is 'tomorrow'"),
        (("generate", "demo", "--expires", "2020-01-01"), "over already"),
        (("generate", "demo", "--expires", "2999-01-01T00:00:00"), "with its zone"),
        (("generate", "demo", "--expires", "d"), "--expires is 'd'"),
    ],
)
def test_what_is_wrong_is_said_and_no_key_made(polyglot, arguments, said):
    result = polyglot("keys", *arguments, stdin="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert "pg_" not in result.stderr


def test_an_app_that_cannot_be_is_refused(polyglot):
    polyglot("keys", "generate", "*", fails=InvalidApp)


@pytest.fixture
def saved(polyglot):
    """Saves a new key of `demo`, and returns it."""

    def save(*arguments: str) -> str:
        result = polyglot("keys", "generate", "demo", "--save", *arguments)
        assert result.exit_code == 0, result.output
        (line,) = result.stdout.splitlines()
        assert "SIGHUP" in result.stderr
        return line

    return save


def keys_of(app: str = "demo"):
    return load_settings(polyglot_env="dev").apps[app].keys


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_a_saved_key_is_in_the_file_and_the_key_itself_on_stdout_alone(saved):
    key = saved("--name", "ci", "--scope", "publish", "--expires", "2999-01-31")
    (listed,) = keys_of()
    assert (listed.name, listed.sha256, listed.scopes) == ("ci", digest(key), ["publish"])
    assert listed.expires == datetime(2999, 2, 1, tzinfo=UTC)
    assert key not in Path("polyglot.toml").read_text()


def test_a_name_is_given_once(polyglot, saved):
    saved("--name", "ci")
    again = polyglot("keys", "generate", "demo", "--save", "--name", "ci")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "rotate it" in again.stderr
    assert len(keys_of()) == 1


@pytest.mark.parametrize(("given", "expected"), [("90d", timedelta(days=90)), ("5m", timedelta(minutes=5))])
def test_an_end_can_be_so_long_from_now(saved, given, expected):
    before = datetime.now(UTC)
    saved("--expires", given)
    assert abs(keys_of()[0].expires - before - expected) < timedelta(seconds=30)


def test_keys_are_listed_without_what_could_be_used(polyglot, saved):
    key = saved("--name", "ci", "--expires", "2999-01-31T12:00:00Z")
    saved("--name", "other", "--scope", "admin")
    with Path("polyglot.toml").open("a") as file:
        file.write(f'[[apps.late.keys]]\nname = "[red]"\nsha256 = "{"5a" * 32}"\nscopes = ["publish"]\n')
        file.write("expires = 2020-01-01\n")
    shown = polyglot("keys", "list").stdout
    for part in ("demo", "ci", digest(key)[:12], "2999-01-31", "admin", "[red]", "(over)"):
        assert part in shown
    assert key not in shown
    assert digest(key) not in shown
    listed = json.loads(polyglot("keys", "list", "demo", "--json").stdout)
    assert [(each["name"], each["expires"], each["expired"]) for each in listed] == [
        ("ci", "2999-01-31T12:00:00+00:00", False),
        ("other", None, False),
    ]


def test_rotating_makes_a_new_key_and_lets_the_old_one_end_later(polyglot, saved):
    old = saved("--name", "ci", "--scope", "publish", "--scope", "admin")
    other = saved("--name", "other")
    new = polyglot("keys", "rotate", "demo", "ci", "--grace", "24h").stdout.strip()
    known = {key.sha256: key for key in keys_of()}
    assert set(known) == {digest(old), digest(other), digest(new)}
    assert abs(known[digest(old)].expires - datetime.now(UTC) - timedelta(hours=24)) < timedelta(seconds=30)
    assert (known[digest(new)].name, known[digest(new)].scopes) == ("ci", ["publish", "admin"])
    assert known[digest(new)].expires is known[digest(other)].expires is None


def test_rotating_again_shortens_what_was_left_and_never_lengthens_it(polyglot, saved):
    first = saved("--name", "ci")
    second = polyglot("keys", "rotate", "demo", "ci", "--grace", "1h").stdout.strip()
    third = polyglot("keys", "rotate", "demo", "ci", "--grace", "24h").stdout.strip()
    ends = {key.sha256: key.expires for key in keys_of()}
    assert ends[digest(third)] is None
    assert timedelta(minutes=59) < ends[digest(first)] - datetime.now(UTC) < timedelta(minutes=61)
    assert timedelta(hours=23) < ends[digest(second)] - datetime.now(UTC) < timedelta(hours=25)


def test_rotating_without_grace_takes_the_old_key_out(polyglot, saved):
    saved("--name", "ci")
    new = polyglot("keys", "rotate", "demo", "ci", "--grace", "0").stdout.strip()
    assert [key.sha256 for key in keys_of()] == [digest(new)]


def test_rotating_takes_out_what_had_ended(polyglot, saved):
    saved("--name", "ci")
    with Path("polyglot.toml").open("a") as file:
        file.write(f'[[apps.demo.keys]]\nname = "ci"\nsha256 = "{"5a" * 32}"\nscopes = ["publish"]\n')
        file.write("expires = 2020-01-01\n")
    assert polyglot("keys", "rotate", "demo", "ci").exit_code == 0
    assert "5a" * 32 not in {key.sha256 for key in keys_of()}
    assert len(keys_of()) == 2


def test_a_key_with_an_end_gets_no_successor_without_one_unasked(polyglot, saved):
    saved("--name", "ci", "--expires", "90d")
    refused = polyglot("keys", "rotate", "demo", "ci")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--expires" in refused.stderr
    assert len(keys_of()) == 1
    polyglot("keys", "rotate", "demo", "ci", "--expires", "never")
    assert keys_of()[-1].expires is None


def test_revoking_takes_every_key_of_the_name(polyglot, saved):
    saved("--name", "ci")
    polyglot("keys", "rotate", "demo", "ci")
    stays = saved("--name", "other")
    result = polyglot("keys", "revoke", "demo", "ci")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "2 taken out" in result.stderr
    assert [key.sha256 for key in keys_of()] == [digest(stays)]


def test_one_key_can_be_revoked_by_its_digest(polyglot, saved):
    old = saved("--name", "ci")
    new = polyglot("keys", "rotate", "demo", "ci").stdout.strip()
    assert polyglot("keys", "revoke", "demo", digest(old)[:12]).exit_code == 0
    assert [key.sha256 for key in keys_of()] == [digest(new)]


def test_the_last_key_is_not_revoked_in_vain(polyglot, saved):
    """A gateway in production refuses a file without keys, and would go on with the one before."""
    key = saved("--name", "ci")
    refused = polyglot("keys", "revoke", "demo", "ci")
    assert refused.exit_code == 1
    assert "keys generate demo" in refused.stderr
    assert [known.sha256 for known in keys_of()] == [digest(key)]


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_key_that_is_not_there_is_said(polyglot, saved, command):
    saved("--name", "ci")
    for app, name in (("demo", "other"), ("other", "ci"), ("demo", "c")):
        result = polyglot("keys", command, app, name)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "keys list" in result.stderr


@pytest.mark.parametrize("grace", ["-1h", "1", "a day", "1w", "1.5h"])
def test_a_grace_that_is_none_is_refused(polyglot, saved, grace):
    saved("--name", "ci")
    result = polyglot("keys", "rotate", "demo", "ci", f"--grace={grace}")
    assert result.exit_code == 1
    assert "--grace" in result.stderr
    assert len(keys_of()) == 1


def test_a_file_that_is_wrong_is_said_and_left(polyglot):
    Path("polyglot.toml").write_text("workers = 0\n")
    for arguments in (("generate", "demo", "--save"), ("rotate", "demo", "ci"), ("revoke", "demo", "ci"), ("list",)):
        polyglot("keys", *arguments, fails=SettingsError)
    assert Path("polyglot.toml").read_text() == "workers = 0\n"
