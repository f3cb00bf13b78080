import hashlib
import tomllib

from polyglot_gateway.settings import load_settings


def fields(result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines())


def test_a_new_key_is_printed_with_its_digest_and_its_line(polyglot):
    made = fields(polyglot("keys", "generate", "--name", "ci", "--scope", "publish", "--scope", "admin"))
    assert made["sha256"] == hashlib.sha256(made["key"].encode()).hexdigest()
    (listed,) = tomllib.loads(made["toml"])["keys"]
    assert listed == {"name": "ci", "sha256": made["sha256"], "scopes": ["publish", "admin"]}


def test_keys_differ(polyglot):
    assert fields(polyglot("keys", "generate"))["key"] != fields(polyglot("keys", "generate"))["key"]


def test_the_line_is_what_the_settings_take(polyglot, tmp_path):
    line = fields(polyglot("keys", "generate"))["toml"]
    (tmp_path / "polyglot.toml").write_text(f"[apps.demo]\n{line}\n")
    assert load_settings(polyglot_env="prod").apps["demo"].keys[0].name == "default"


def test_the_digest_of_a_given_key(polyglot):
    made = fields(polyglot("keys", "hash", stdin="abc\n"))
    assert made["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert "key" not in made


def test_no_key_and_a_wrong_scope_are_said(polyglot):
    result = polyglot("keys", "hash", stdin="")
    assert (result.exit_code, "stdin" in result.stderr) == (1, True)
    result = polyglot("keys", "generate", "--scope", "everything")
    assert (result.exit_code, "everything" in result.stderr) == (1, True)
