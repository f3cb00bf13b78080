import hashlib
import tomllib
from pathlib import Path

import pytest

from polyglot_gateway.errors import InvalidApp
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
    ],
)
def test_what_is_wrong_is_said_and_no_key_made(polyglot, arguments, said):
    result = polyglot("keys", *arguments, stdin="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert "pg_" not in result.stderr


def test_an_app_that_cannot_be_is_refused(polyglot):
    polyglot("keys", "generate", "*", fails=InvalidApp)
