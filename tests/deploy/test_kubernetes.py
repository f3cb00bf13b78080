"""k8s/polyglot.yaml and the overlays: as Kubernetes has it, and as the gateway needs it."""

import functools
import re
import shutil
from typing import Any

import kubernetes_validate
import pytest
import yaml
from falcon import testing
from tests.deployment import OVERLAYS, ROOT, container, environment, objects, one

from polyglot_gateway import _core
from polyglot_gateway.gateway import openapi
from polyglot_gateway.processor.meters import Meters
from polyglot_gateway.processor.rollups import Rollups
from polyglot_gateway.processor.service import Service, accept_all
from polyglot_gateway.processor.service_http import create_app
from polyglot_gateway.processor.service_master import GRACEFUL_SECONDS

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl builds the overlays")
WAYS = [
    pytest.param(None, id="polyglot.yaml"),
    *(pytest.param(overlay, id=overlay, marks=needs_kubectl) for overlay in OVERLAYS),
]
DEPLOYMENTS = ["polyglot-api", "go-processor"]
SECRETS = {"JWT_SECRET": "of the tests alone, and longer than 32 bytes"}
DEFINED_ELSEWHERE = {"ServiceMonitor"}  # its schema is Prometheus's


def deployments(overlay: str | None) -> list[dict[str, Any]]:
    return [each for each in objects(overlay) if each["kind"] == "Deployment"]


def labels(deployment: dict[str, Any]) -> dict[str, str]:
    return deployment["spec"]["template"]["metadata"]["labels"]


def ports(deployment: dict[str, Any]) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container(deployment)["ports"]}


def selected(selector: dict[str, Any], overlay: str | None) -> list[str]:
    """The names of the deployments whose pods a selector means."""
    wanted = selector.get("matchLabels", selector)
    return [each["metadata"]["name"] for each in deployments(overlay) if wanted.items() <= labels(each).items()]


@pytest.mark.parametrize("overlay", WAYS)
@pytest.mark.parametrize("version", ["1.30", "1.34"])
def test_every_object_is_as_kubernetes_has_it(overlay, version):
    for each in objects(overlay):
        if each["kind"] not in DEFINED_ELSEWHERE:
            kubernetes_validate.validate(each, version, strict=True)


def test_a_wrong_object_is_found():
    wrong = one("Service", "polyglot-api") | {"spec": {"port": 80}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


@pytest.mark.parametrize("overlay", WAYS)
def test_every_object_is_in_the_namespace(overlay):
    for each in objects(overlay):
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "polyglot", each["metadata"]["name"]


def test_the_objects_have_the_names_that_documents_use():
    assert {(each["kind"], each["metadata"]["name"]) for each in objects()} == {
        ("Namespace", "polyglot"),
        ("ConfigMap", "polyglot-config"),
        *(("Deployment", name) for name in DEPLOYMENTS),
        *(("Service", name) for name in DEPLOYMENTS),
    }


def test_no_secret_is_kept_with_the_sources():
    assert [each for each in objects() if each["kind"] == "Secret"] == []
    for file in (ROOT / "k8s").rglob("*.yaml"):
        assert not re.search(r"(SECRET|PASSWORD|_URL)=\S", file.read_text()), file


@pytest.mark.parametrize("overlay", WAYS)
def test_services_reach_ports_of_the_pods_that_they_select(overlay):
    for each in [each for each in objects(overlay) if each["kind"] == "Service"]:
        (name,) = selected(each["spec"]["selector"], overlay)
        for port in each["spec"]["ports"]:
            assert port["targetPort"] in ports(one("Deployment", name, overlay))


@pytest.mark.parametrize("overlay", WAYS)
def test_deployments_select_their_own_pods(overlay):
    for each in deployments(overlay):
        assert selected(each["spec"]["selector"], overlay) == [each["metadata"]["name"]]


def test_the_gateway_listens_where_it_is_asked():
    assert ports(one("Deployment", "polyglot-api")) == {"http": 4000}
    assert ports(one("Deployment", "go-processor")) == {"http": 8080, "grpc": 9090}
    (port,) = one("Service", "polyglot-api")["spec"]["ports"]
    assert port["port"] == 80
    assert one("Service", "polyglot-api")["spec"]["sessionAffinity"] == "None"


def test_production_has_settings_that_serve(settings_of):
    settings = settings_of(environment(one("Deployment", "polyglot-api"), None, SECRETS))
    assert not settings.development
    assert settings.bind == "0.0.0.0:4000"
    assert settings.redis() == "redis://redis-cluster:6379"
    assert settings.processor_urls() == ["http://go-processor:8080"]
    assert settings.jwt_secret.get_secret_value() == SECRETS["JWT_SECRET"]


@needs_kubectl
@pytest.mark.parametrize(("overlay", "environment_name"), [("dev", "dev"), ("prod", "prod")])
def test_overlays_have_settings_that_serve(settings_of, overlay, environment_name):
    secrets = {**SECRETS, "JWT_SECRET": ""} if overlay == "dev" else SECRETS
    settings = settings_of(environment(one("Deployment", "polyglot-api", overlay), overlay, secrets))
    assert settings.polyglot_env == environment_name
    assert settings.bind == "0.0.0.0:4000"


def test_hosts_are_services():
    config = one("ConfigMap", "polyglot-config")["data"]
    assert config["GO_PROCESSOR_URL"] == "http://go-processor:8080"
    service = one("Service", "go-processor")
    assert [port["port"] for port in service["spec"]["ports"]] == [8080, 9090]


@needs_kubectl
def test_development_brings_its_redis():
    service = one("Service", one("ConfigMap", "polyglot-config")["data"]["REDIS_HOST"], "dev")
    assert [port["port"] for port in service["spec"]["ports"]] == [6379]


def test_redis_elsewhere_is_named_by_the_secret(settings_of):
    given = {**SECRETS, "REDIS_URL": "clusters://:secret@one:6379"}
    variables = environment(one("Deployment", "polyglot-api"), None, given) | {"REDIS_HOST": ""}
    assert settings_of(variables).redis() == given["REDIS_URL"]
    assert "REDIS_URL" not in environment(one("Deployment", "polyglot-api"), None, SECRETS), "it is optional"


@functools.cache
def routes_of(name: str) -> set[str]:
    if name == "polyglot-api":
        return set(openapi.document("", "")["paths"])
    client = testing.TestClient(create_app(Service(accept_all, Meters(), Rollups())))
    return {path for path in ("/health", "/metrics") if client.simulate_get(path).status_code == 200}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_probes_ask_for_routes_that_exist(name):
    main = container(one("Deployment", name))
    paths = {kind: main[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == (
        {"startup": "/alive", "liveness": "/alive", "readiness": "/ready"}
        if name == "polyglot-api"
        else dict.fromkeys(("startup", "liveness", "readiness"), "/health")
    )
    assert set(paths.values()) <= routes_of(name)
    assert {main[f"{kind}Probe"]["httpGet"]["port"] for kind in paths} == {"http"}


@pytest.mark.parametrize("overlay", WAYS)
def test_every_pod_is_held_in(overlay):
    for each in deployments(overlay):
        pod = each["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "they would set variables that are settings"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(each)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= set(container(each)["resources"])


@pytest.mark.parametrize("overlay", WAYS)
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_nobody_is_killed_before_it_has_drained(overlay, name):
    deployment = one("Deployment", name, overlay)
    (_, sleep) = container(deployment)["lifecycle"]["preStop"]["exec"]["command"]
    drain = GRACEFUL_SECONDS
    if name == "polyglot-api":
        drain = int(one("ConfigMap", "polyglot-config", overlay)["data"]["GRACEFUL_TIMEOUT"])
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > int(sleep) + drain
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_worker_has_a_cpu():
    config = one("ConfigMap", "polyglot-config")["data"]
    limits = container(one("Deployment", "polyglot-api"))["resources"]["limits"]
    assert int(config["WORKERS"]) * 1000 <= int(limits["cpu"].removesuffix("m"))


def test_the_data_of_a_pod_are_its_own():
    volumes = one("Deployment", "polyglot-api")["spec"]["template"]["spec"]["volumes"]
    (data,) = (volume for volume in volumes if volume["name"] == "data")
    assert set(data) == {"name", "emptyDir"}


@needs_kubectl
def test_production_watches_scales_and_protects_both():
    overlay = "prod"
    for each in objects(overlay):
        spec = each.get("spec", {})
        if each["kind"] == "HorizontalPodAutoscaler":
            target = one("Deployment", spec["scaleTargetRef"]["name"], overlay)
            assert "replicas" not in target["spec"], "each apply would undo the autoscaler's"
            assert spec["minReplicas"] >= one("Deployment", each["metadata"]["name"])["spec"]["replicas"]
        elif each["kind"] == "PodDisruptionBudget":
            assert selected(spec["selector"], overlay) == [each["metadata"]["name"]]
        elif each["kind"] == "NetworkPolicy":
            assert selected(spec["podSelector"], overlay) == [each["metadata"]["name"]]
            named = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
            assert named <= set(ports(one("Deployment", each["metadata"]["name"], overlay)))
        elif each["kind"] == "Ingress":
            (rule,) = spec["rules"]
            services = {path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
            assert services == {"polyglot-api"}
            paths = {path["path"] for path in rule["http"]["paths"]}
            assert paths == {"/apps", "/socket", "/openapi.json"}
        elif each["kind"] == "ServiceMonitor":
            (wanted,) = spec["selector"]["matchExpressions"]
            for name in wanted["values"]:
                assert one("Service", name, overlay)["metadata"]["labels"]["app"] == name
                assert spec["endpoints"][0]["path"] in routes_of(name)
    for name in DEPLOYMENTS:
        for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"):
            assert one(kind, name, overlay)
        pod = one("Deployment", name, overlay)["spec"]["template"]["spec"]
        assert {selected(each["labelSelector"], overlay)[0] for each in pod["topologySpreadConstraints"]} == {name}


@needs_kubectl
def test_production_names_the_version():
    for name in DEPLOYMENTS:
        assert container(one("Deployment", name, "prod"))["image"].partition(":")[2] == _core.__version__


def test_a_key_set_is_a_file_where_the_document_says_it_is():
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    name, file = re.findall(r"create configmap ([\w-]+) .*--from-file=(\S+)", text)[0]
    pod = one("Deployment", "polyglot-api")["spec"]["template"]["spec"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "config"]
    assert {"configMap": {"name": name, "optional": True}} in volume["projected"]["sources"]
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "config"]
    assert f"`{mount['mountPath']}/{file}`" in text


@needs_kubectl
def test_gateways_reach_a_key_set_at_a_url():
    """Nothing keeps them in; and what the document says where something does is a rule as Kubernetes has it."""
    policies = [each for each in objects("prod") if each["kind"] == "NetworkPolicy"]
    assert [each["spec"]["policyTypes"] for each in policies] == [["Ingress"], ["Ingress"]]
    (block,) = re.findall(r"```yaml\n(egress:.*?)```", (ROOT / "docs/kubernetes.md").read_text(), re.DOTALL)
    rules = yaml.safe_load(block)
    closed = policies[0] | {"spec": {"podSelector": {}, "policyTypes": ["Egress"], **rules}}
    kubernetes_validate.validate(closed, "1.34", strict=True)
    assert {port["port"] for rule in rules["egress"] for port in rule["ports"]} == {53, 443}
