"""compose.yaml, and compose.prod.yaml over it.

compose-spec.json beside this file is the schema of the Compose Specification, under the Apache License 2.0.
"""

import json
import re

import jsonschema_rs
import pytest
from tests.deployment import ROOT, compose, interpolated, services_in_production

SCHEMA = json.loads((ROOT / "tests" / "deploy" / "compose-spec.json").read_text())
FILES = ["compose.yaml", "compose.prod.yaml", "docker-compose.prod.yml"]
GIVEN = {"JWT_SECRET": "of the tests alone, and longer than 32 bytes", "REDIS_PASSWORD": "secret"}


def variables(file: str) -> dict[str, str]:
    """The lines NAME=value of a file, also of those that are commented out."""
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / file).read_text(), re.MULTILINE))


def environment(service: dict, given: dict[str, str]) -> dict[str, str]:
    return {name: interpolated(value, given) for name, value in service["environment"].items()}


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_as_the_specification_has_it(file):
    errors = [error.message for error in jsonschema_rs.validator_for(SCHEMA).iter_errors(compose(file))]
    assert errors == []


def test_the_schema_finds_what_is_wrong():
    assert not jsonschema_rs.is_valid(SCHEMA, {"services": {"polyglot": {"imagee": "polyglot:latest"}}})


def test_the_services_have_the_names_that_documents_use():
    assert set(compose("compose.yaml")["services"]) == {"polyglot", "go-processor", "redis", "nginx"}
    assert set(compose("compose.prod.yaml")["services"]) <= set(compose("compose.yaml")["services"])


@pytest.mark.parametrize("service", ["polyglot", "go-processor"])
def test_a_service_can_be_scaled(service):
    for services in (compose("compose.yaml")["services"], services_in_production()):
        assert "container_name" not in services[service]
        assert "ports" not in services[service], "two containers cannot have one port of the host"
        assert all("ipv4_address" not in str(network) for network in services[service]["networks"])
        assert services[service]["deploy"]["replicas"] > 1
        assert all(volume.startswith("/") for volume in services[service].get("volumes", [])), "each its own folder"


def test_every_container_is_held_in():
    for name, service in services_in_production().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert "build" in service or service["user"] not in ("root", "0"), name
        assert "build" in service or "healthcheck" in service, name


def test_only_nginx_can_be_reached_from_outside():
    services = services_in_production()
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    assert services["nginx"]["ports"] == ["80:8080"]
    assert compose("compose.yaml")["services"]["nginx"]["ports"] == ["127.0.0.1:${PORT:-4000}:8080"]
    assert compose("compose.yaml")["networks"]["back"] == {"internal": True}
    assert services["redis"]["networks"] == services["go-processor"]["networks"] == ["back"]


def test_nobody_is_killed_before_it_has_drained():
    services = services_in_production()
    drain = int(services["polyglot"]["environment"]["GRACEFUL_TIMEOUT"])
    for name in ("polyglot", "go-processor"):
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > drain, name


def test_the_gateways_of_development_have_settings_that_serve(settings_of):
    settings = settings_of(environment(compose("compose.yaml")["services"]["polyglot"], {}))
    assert settings.development
    assert settings.bind == "0.0.0.0:4000"
    assert settings.redis() == "redis://redis:6379"
    assert settings.processor_urls() == ["http://go-processor:8080"]


def test_the_gateways_of_production_have_settings_that_serve(settings_of):
    settings = settings_of(environment(services_in_production()["polyglot"], GIVEN))
    assert not settings.development
    assert settings.bind == "0.0.0.0:4000"
    assert settings.redis() == "redis://:secret@redis:6379"
    assert settings.processor_urls() == ["http://go-processor:8080"]
    assert settings.jwt_secret.get_secret_value() == GIVEN["JWT_SECRET"]


def test_production_takes_another_redis(settings_of):
    elsewhere = {"REDIS_HOST": "", "REDIS_URL": "cluster://one:6379,two:6379", **GIVEN}
    settings = settings_of(environment(services_in_production()["polyglot"], elsewhere))
    assert settings.redis() == "cluster://one:6379,two:6379"


def test_production_asks_for_its_secret():
    with pytest.raises(AssertionError, match="openssl rand"):
        environment(services_in_production()["polyglot"], {"JWT_SECRET": ""})


def test_the_example_lists_what_production_reads():
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.prod.yaml").read_text()))
    read |= set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text())) - {"PORT"}
    assert set(variables(".env.prod.example")) == read
    secrets = [variables(".env.prod.example")[name] for name in ("JWT_SECRET", "REDIS_PASSWORD", "REDIS_URL")]
    assert secrets == ["", "", ""], "nobody is to use a secret that everybody knows"


def test_redis_has_its_password_from_a_file():
    shell = services_in_production()["redis"]["command"][-1].replace("$$", "$")
    assert "$REDIS_PASSWORD" in shell
    assert "REDIS_PASSWORD" not in shell.partition("exec ")[2]


def test_gateways_believe_the_address_of_nginx_and_no_other():
    services = compose("compose.yaml")["services"]
    address = services["nginx"]["networks"]["front"]["ipv4_address"]
    assert services["polyglot"]["environment"]["TRUSTED_PROXIES"] == address
