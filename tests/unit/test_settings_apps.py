import hashlib
import re
from collections.abc import Callable

import pytest

from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import RateLimited, SettingsError, Unauthorized
from polyglot_gateway.settings import Settings

DIGEST = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
KEY = f'{{ name = "ci", sha256 = "{DIGEST}", scopes = ["publish", "history"] }}'

RULE = '[apps.demo]\nrules = [{ channels = "room:*", %s }]'
LIMITS = "[apps.demo.limits]\n%s"
WRONG_APPS = [
    ("[apps.demo]\nkey = []", r"apps\.demo\.key: there is no such setting"),
    ('[apps."a.b"]', r"apps\.a\.b.*: "),
    ('[apps."*"]\nkeys = [' + KEY + "]", r"apps\.\*\.keys: not allowed"),
    ('[apps.demo]\nkeys = [{ sha256 = "x", scopes = ["publish"] }]', r"apps\.demo\.keys\.0\.sha256: .*64 hex digits"),
    (f'[apps.demo]\nkeys = [{{ sha256 = "{DIGEST}", scopes = ["all"] }}]', r"scopes\.0: .*'publish', 'history'"),
    (f'[apps.demo]\nkeys = [{{ sha256 = "{DIGEST}", scopes = [] }}]', r"apps\.demo\.keys\.0\.scopes: .*at least 1"),
    (f'[apps.demo]\nkeys = [{{ sha256 = "{DIGEST}" }}]', r"apps\.demo\.keys\.0\.scopes: Field required"),
    ("[apps.demo]\nrules = [{ history_size = 1 }]", r"apps\.demo\.rules\.0\.channels: Field required"),
    ('[apps.demo]\nrules = [{ channels = "a b" }]', r"apps\.demo\.rules\.0\.channels: 'a b': "),
    (RULE % "history_size = 2000", r"apps\.demo\.rules: history_size 2000 .*'room:\*'.* 1 to 1000"),
    (RULE % "history_size = 0", r"rules\.0\.history_size: 0: .*greater than or equal to 1"),
    (RULE % 'history_size = "5"', r"rules\.0\.history_size: '5': .*integer"),
    (RULE % "history_ttl = -1", r"rules\.0\.history_ttl: -1: .*greater than or equal to 0"),
    (RULE % "max_event_bytes = 1", r"rules\.0\.max_event_bytes: 1: .*64"),
    (RULE % "public_read = 1", r"rules\.0\.public_read: 1: .*boolean"),
    (RULE % "client_publish = 1", r"rules\.0\.client_publish: 1: .*boolean"),
    (RULE % 'presence = "yes"', r"rules\.0\.presence: 'yes': .*boolean"),
    (RULE % "conflate = 0", r"rules\.0\.conflate: 0: .*boolean"),
    (RULE % "processor = 0", r"rules\.0\.processor: 0: .*boolean"),
    (RULE % 'on_processor_down = "drop"', r"rules\.0\.on_processor_down: 'drop': .*'fail' or 'bypass'"),
    (RULE % "ttl = 1", r"rules\.0\.ttl: there is no such setting"),
    (LIMITS % "events = 1", r"apps\.demo\.limits\.events: there is no such setting"),
    (LIMITS % "events_per_second = 0", r"limits\.events_per_second: 0: .*greater than or equal to 1"),
    (LIMITS % "events_per_second = 1_000_000_001", r"limits\.events_per_second: .*less than or equal to 1000000000"),
    (LIMITS % "connections = true", r"limits\.connections: True: must be a number"),
    (LIMITS % "channels = 0", r"limits\.channels: 0: .*greater than or equal to 1"),
    (LIMITS % "events_burst = 5", r"apps\.demo\.limits: .*events_burst needs events_per_second"),
    (LIMITS % "bytes_per_second = 2\nbytes_burst = 172801", r"apps\.demo\.limits: .*bytes_burst .* up to 172800"),
]


@pytest.mark.parametrize(("toml", "line"), WRONG_APPS)
def test_what_is_wrong_in_an_app_is_named(load: Callable[..., Settings], toml: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(toml)
    assert any(re.search(line, said) for said in caught.value.message.splitlines())


def test_a_key_written_by_mistake_is_not_repeated(load: Callable[..., Settings]) -> None:
    for keys in ('{ sha256 = "hunter2", scopes = ["publish"] }', '"hunter2"', '{ key = "hunter2" }'):
        with pytest.raises(SettingsError) as caught:
            load(f"[apps.demo]\nkeys = [{keys}]")
        assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("key", ["", "abc", "valid_key_demo", "valid_key_demo-app", "valid_key_other"])
def test_production_refuses_a_key_that_everybody_knows(load: Callable[..., Settings], key: str) -> None:
    digest = hashlib.sha256(key.encode()).hexdigest()
    toml = f'[apps.other]\n[[apps.demo.keys]]\nsha256 = "{digest.upper()}"\nscopes = ["publish"]\n'
    with pytest.raises(SettingsError, match=r"^apps\.demo\.keys\.0\.sha256: .*everybody knows"):
        load(toml, polyglot_env="prod")
    assert load(toml).apps["demo"].keys


def test_rules_and_keys_hold_in_the_core(load: Callable[..., Settings], engine: EmbeddedEngine) -> None:
    settings = load(
        f'[apps.demo]\nkeys = [{KEY}]\nrules = [{{ channels = "room:*", max_event_bytes = 64, public_read = true }}]\n'
        '[apps."*"]\nrules = [{ channels = "*", max_event_bytes = 128 }]',
        max_event_bytes=4096,
        polyglot_env="prod",
    )
    engine.configure(settings.access(), settings.rules())
    assert engine.max_event_bytes("demo", "room:1") == 64
    assert engine.max_event_bytes("demo", "hall:1") == 4096
    assert engine.max_event_bytes("another", "room:1") == 128
    engine.authorize("demo", "hall:1", "secret", "publish")
    engine.authorize("demo", "room:1", "", "history")
    for app, channel, key in (("demo", "hall:1", ""), ("demo", "hall:1", "valid_key_demo"), ("another", "a", "")):
        with pytest.raises(Unauthorized):
            engine.authorize(app, channel, key, "history")


ENDS = {
    "2026-11-26T12:00:00Z": 1795694400,
    "2026-11-26T13:00:00+01:00": 1795694400,
    "2026-11-26 12:00:00Z": 1795694400,
    "2026-11-26T12:00:00.5Z": 1795694401,
    "2026-11-25": 1795651200,
    "1969-12-31T23:59:59Z": 1,
}


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize(("text", "end"), ENDS.items())
def test_a_key_ends_at_a_time_or_after_a_day(load: Callable[..., Settings], text: str, end: int, quoted: bool) -> None:
    value = f'"{text}"' if quoted else text
    toml = f'[[apps.demo.keys]]\nsha256 = "{DIGEST}"\nscopes = ["publish"]\nexpires = {value}'
    assert load(toml).apps["demo"].keys[0].expires_at() == end


def test_a_key_without_an_end_has_none(load: Callable[..., Settings]) -> None:
    assert load(f"[apps.demo]\nkeys = [{KEY}]").apps["demo"].keys[0].expires_at() == 0


@pytest.mark.parametrize(
    "value", ["2026-11-26T12:00:00", "12:00:00", '"tomorrow"', '""', "0", "true", '"2026-02-30"', "9999-12-31", "[]"]
)
def test_an_end_that_is_none_is_refused(load: Callable[..., Settings], value: str) -> None:
    toml = f'[[apps.demo.keys]]\nsha256 = "{DIGEST}"\nscopes = ["publish"]\nexpires = {value}'
    with pytest.raises(SettingsError, match=r"^apps\.demo\.keys\.0\.expires: must be a date-time with its zone"):
        load(toml)


def test_the_end_of_a_key_holds_in_the_core_and_is_warned_of(
    load: Callable[..., Settings], engine: EmbeddedEngine
) -> None:
    over = f'{{ name = "old", sha256 = "{hashlib.sha256(b"old").hexdigest()}", scopes = ["publish"], expires = %s }}'
    ends = {"2020-01-01": False, "2999-01-01": True}
    for expires, holds in ends.items():
        settings = load(f"[apps.demo]\nkeys = [{KEY}, {over % expires}]", polyglot_env="prod")
        engine.configure(settings.access(), settings.rules())
        engine.authorize("demo", "room", "secret", "publish")
        if holds:
            engine.authorize("demo", "room", "old", "publish")
            assert settings.warnings() == []
        else:
            with pytest.raises(Unauthorized, match=r"^The API key has expired\.$"):
                engine.authorize("demo", "room", "old", "publish")
            (warning,) = settings.warnings()
            assert "apps.demo.keys.1.expires: the key 'old' has expired" in warning


def test_in_development_everything_can_be_read(load: Callable[..., Settings], engine: EmbeddedEngine) -> None:
    settings = load(f'[apps.demo]\nkeys = [{KEY}]\nrules = [{{ channels = "room:*" }}]')
    engine.configure(settings.access(), settings.rules())
    for app, channel in (("demo", "room:1"), ("demo", "hall:1"), ("any", "a")):
        engine.authorize(app, channel, "", "history")
        engine.authorize(app, channel, f"valid_key_{app}", "publish")
    engine.authorize("demo", "room:1", "secret", "publish")


def test_a_key_may_have_any_scope(load: Callable[..., Settings], engine: EmbeddedEngine) -> None:
    scopes = ["publish", "history", "subscribe", "admin", "presence"]
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    settings = load(f'[apps.demo]\nkeys = [{{ sha256 = "{DIGEST}", scopes = [{listed}] }}]', polyglot_env="prod")
    engine.configure(settings.access(), settings.rules())
    for scope in scopes:
        engine.authorize("demo", "room:1", "secret", scope)


@pytest.mark.parametrize("flag", ["public_read", "client_publish", "presence", "conflate"])
def test_a_flag_of_a_rule_reaches_the_core_and_no_other_does(load: Callable[..., Settings], flag: str) -> None:
    toml = f'[apps.demo]\nkeys = [{KEY}]\nrules = [{{ channels = "room:*", {flag} = true }}]'
    rules = load(toml, polyglot_env="prod").rules()
    for channel in ("room:1", "hall:1"):
        rule = rules.find("demo", channel)
        set_flags = {
            name for name in ("public_read", "client_publish", "presence", "conflate") if getattr(rule, name) is True
        }
        assert set_flags == ({flag} if channel == "room:1" else set())


def test_what_a_rule_says_of_the_processor_reaches_the_core(load: Callable[..., Settings]) -> None:
    rules = load(
        '[apps.demo]\nrules = [{ channels = "a", processor = false }, '
        '{ channels = "b", on_processor_down = "bypass" }, { channels = "c", on_processor_down = "fail" }]'
    ).rules()
    said = [(rule.processor, rule.bypass_processor) for rule in (rules.find("demo", name) for name in "abcd")]
    assert said == [(False, False), (True, True), (True, False), (True, False)]


def test_the_sizes_of_a_rule_reach_the_core(load: Callable[..., Settings]) -> None:
    rule = 'channels = "*", history_size = 7, history_ttl = 1.5, max_event_bytes = 64'
    found = load(f"[apps.demo]\nrules = [{{ {rule} }}]").rules().find("demo", "room:1")
    assert (found.history_size, found.history_ttl, found.max_event_bytes) == (7, 1.5, 64)


def test_in_development_a_channel_without_a_rule_is_open_to_sockets(load: Callable[..., Settings]) -> None:
    rules = load('[apps.demo]\nrules = [{ channels = "room:*" }]').rules()
    without, with_rule, elsewhere = (rules.find(*names) for names in (("demo", "a"), ("demo", "room:1"), ("any", "a")))
    assert (without.client_publish, without.presence, without.conflate) == (True, True, False)
    assert (elsewhere.client_publish, elsewhere.presence, elsewhere.conflate) == (True, True, False)
    assert (with_rule.client_publish, with_rule.presence, with_rule.conflate) == (False, False, False)


def test_limits_hold_in_the_core(load: Callable[..., Settings], engine: EmbeddedEngine) -> None:
    settings = load(
        "[apps.demo.limits]\nevents_per_second = 10\nevents_burst = 20\nconnections = 1\n"
        '[apps."*".limits]\nbytes_per_second = 1000\nsubscriptions = 2\nchannels = 3\n'
        "[apps.free]\nlimits = {}\n"
    )
    engine.configure(settings.access(), settings.rules(), settings.limits())
    assert engine.rate_limit("demo") == ('"events";q=20;w=2', '"events";r=20;t=0')
    assert engine.rate_limit("another") == ('"bytes";q=1000;w=1', '"bytes";r=1000;t=0')
    assert engine.rate_limit("free") is None
    hold = engine.gateway.hold("demo", "connections")
    with pytest.raises(RateLimited, match="1 connections open"):
        engine.gateway.hold("demo", "connections")
    hold.release()
    engine.gateway.hold("demo", "connections")
    assert load("[apps.demo]").apps["demo"].limits is None
