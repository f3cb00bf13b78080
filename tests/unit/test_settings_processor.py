from collections.abc import Callable
from typing import Any

import pytest

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings import Settings, load_settings

URL = "http://processor:8080"


@pytest.mark.parametrize(
    ("env", "processor", "urls"),
    [
        ({}, "embedded", []),
        ({"PROCESSOR": "embedded"}, "embedded", []),
        ({"USE_GRPC": "false"}, "embedded", []),
        ({"PROCESSOR_URL": ","}, "embedded", []),
        ({"PROCESSOR_URL": URL}, "http", [URL]),
        ({"PROCESSOR_URL": URL, "PROCESSOR": "http", "USE_GRPC": "false"}, "http", [URL]),
        ({"PROCESSOR_URL": URL, "USE_GRPC": "true"}, "grpc", [URL]),
        ({"PROCESSOR_URL": URL, "PROCESSOR": "grpc"}, "grpc", [URL]),
        ({"PROCESSOR_URL": f"{URL}, https://me:s%2Cx@other/p,"}, "http", [URL, "https://me:s%2Cx@other/p"]),
    ],
)
def test_who_is_asked_and_how(
    load: Callable[..., Settings], env: dict[str, str], processor: str, urls: list[str]
) -> None:
    settings = load(env=env)
    assert (settings.processor, settings.processor_urls()) == (processor, urls)
    assert settings.shown()["processor"] == processor


def test_the_defaults_are_those_of_the_clients(load: Callable[..., Settings]) -> None:
    settings = load()
    assert (settings.processor_grpc_port, settings.processor_pool_size, settings.processor_timeout) == (9090, 20, 5.0)
    assert settings.use_circuit_breaker
    assert settings.processor_function is None
    assert not load(env={"USE_CIRCUIT_BREAKER": "false"}).use_circuit_breaker


@pytest.mark.parametrize(
    ("toml", "dotenv", "env", "found"),
    [
        ("", "", {"GO_PROCESSOR_URL": URL}, [URL]),
        ("", f"GO_PROCESSOR_URL={URL}", {}, [URL]),
        ("", "", {"GO_PROCESSOR_URL": "http://other", "PROCESSOR_URL": URL}, [URL]),
        ('processor_url = "http://other"', "PROCESSOR_URL=http://other", {"GO_PROCESSOR_URL": URL}, [URL]),
        (f'processor_url = "{URL}"', "", {"GO_PROCESSOR_URL": ""}, [URL]),
    ],
)
def test_the_url_has_another_name(
    load: Callable[..., Settings], toml: str, dotenv: str, env: dict[str, str], found: list[str]
) -> None:
    assert load(toml, env, dotenv).processor_urls() == found


def test_the_port_of_grpc_has_another_name(load: Callable[..., Settings]) -> None:
    assert load(env={"GO_PROCESSOR_GRPC_PORT": "9191"}).processor_grpc_port == 9191
    with pytest.raises(SettingsError, match=r"^processor_grpc_port: '0': "):
        load(env={"GO_PROCESSOR_GRPC_PORT": "0"})


def test_the_file_has_no_other_names(load: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match=r"^go_processor_url: there is no such setting$"):
        load(f'go_processor_url = "{URL}"')


@pytest.mark.parametrize(
    "url",
    [
        "processor:8080",
        "ftp://me:hunter2@h",
        "http://",
        "http://me:hunter2@h:0",
        "http://me:hun,ter2@h",
        "http://me:hun/ter2@h",
        "http://me:hun#ter2@h",
        "http://me:hunter2@h?x",
        f"{URL},me:hunter2@h",
    ],
)
def test_a_wrong_url_is_refused_and_not_shown(load: Callable[..., Settings], url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(env={"PROCESSOR_URL": url})
    (line,) = caught.value.message.splitlines()
    assert line.startswith("processor_url: must be http:// or https://, a host")
    assert not any(part in line for part in ("hun,", "hun/", "hun#", "ter2"))


def test_a_password_in_a_url_is_not_shown(load: Callable[..., Settings]) -> None:
    settings = load(processor_url="http://me:hunter2@h")
    assert "hunter2" not in f"{settings.shown()} {settings!r}"
    with pytest.raises(SettingsError, match=r"^processor_url: ") as caught:
        load(processor_url=["http://me:hunter2@h"])
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processor": "http"}, "processor_url: is not given, but processor is http"),
        ({"processor": "grpc"}, "processor_url: is not given, but processor is grpc"),
        ({"processor": "embedded", "processor_url": URL}, "processor: embedded calls a function here"),
        (
            {"processor": "embedded", "processor_url": URL, "use_grpc": "true"},
            "processor: embedded calls a function here",
        ),
        ({"use_grpc": "true"}, "use_grpc: true, but processor is embedded, as no processor_url says where it is"),
        (
            {"processor": "http", "processor_url": URL, "use_grpc": "true"},
            "use_grpc: true, but processor is http; leave one of them out",
        ),
        (
            {"processor": "grpc", "processor_url": URL, "use_grpc": "false"},
            "use_grpc: false, but processor is grpc; leave one of them out",
        ),
        (
            {"processor_function": "a:b", "processor_url": "http://me:hunter2@h"},
            "processor_function: 'a:b' is called here, but the processor is asked by http",
        ),
        ({"processor_url": f"{URL},{URL}/"}, "processor_url: two URLs of processors name the same place"),
        (
            {"processor_url": f"{URL},http://processor:8081", "use_grpc": "true"},
            "processor_url: two URLs of processors name the same place",
        ),
        ({"processor_url": "https://me:hunter2@h", "use_grpc": "true"}, "processor_url: gRPC goes without TLS"),
        ({"processor": "soap"}, "processor: 'soap': "),
        ({"processor_function": "moderate"}, "processor_function: 'moderate': must be module:function"),
        ({"processor_grpc_port": "65536"}, "processor_grpc_port: '65536': "),
        ({"processor_pool_size": "0"}, "processor_pool_size: '0': "),
        ({"processor_pool_size": "1001"}, "processor_pool_size: '1001': "),
        ({"processor_timeout": "0"}, "processor_timeout: '0': "),
        ({"processor_timeout": "61"}, "processor_timeout: '61': "),
        ({"processor_timeout": "nan"}, "processor_timeout: 'nan': "),
        ({"use_circuit_breaker": "maybe"}, "use_circuit_breaker: 'maybe': "),
        ({"use_grpc": "maybe"}, "use_grpc: 'maybe': "),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_a_password(
    load: Callable[..., Settings], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**given)
    (line,) = caught.value.message.splitlines()
    assert line.startswith(said)
    assert "hunter2" not in line


def test_without_a_processor_nothing_is_called(load: Callable[..., Settings]) -> None:
    for given in ({"processor_url": URL, "use_grpc": True}, {"processor_function": "moderate:process"}):
        settings = load(**given).without_processor()
        assert (settings.processor, settings.processor_urls(), settings.processor_function) == ("embedded", [], None)
        assert settings.wrong_processor() == []


def test_rereading_leaves_the_processor(load: Callable[..., Settings]) -> None:
    settings = load(env={"PROCESSOR_URL": URL, "USE_GRPC": "true"})
    assert settings.reread().processor == "grpc"
    assert load_settings().processor_urls() == [URL]
