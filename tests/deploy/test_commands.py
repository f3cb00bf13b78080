"""The commands of docs/containers.md and docs/kubernetes.md: what they name is there."""

import itertools
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.deployment import ROOT, compose, container, objects, one

DOCUMENTS = [ROOT / "docs" / name for name in ("containers.md", "kubernetes.md")]
BLOCKS = [
    pytest.param(code, id=f"{document.stem}-{number}")
    for document in DOCUMENTS
    for number, code in enumerate(re.findall(r"^```bash\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL))
]
COMMANDS = [
    shlex.split(line, comments=True)
    for block in BLOCKS
    for line in block.values[0].replace("\\\n", " ").splitlines()
    if line.strip() and "$(" not in line
]
SERVICES = compose("compose.yaml")["services"]
KINDS = {"deployment": "Deployment", "svc": "Service"}
# What the user has to make; the documents say so.
IN_THE_SECRET = "polyglot-secrets"


def commands(*beginning: str) -> list[list[str]]:
    found = [command for command in COMMANDS if tuple(command[: len(beginning)]) == beginning]
    assert found
    return found


def values(command: list[str], option: str) -> list[str]:
    """The words behind an option, wherever it stands."""
    return [word for before, word in itertools.pairwise(command) if before == option]


@pytest.mark.parametrize("code", BLOCKS)
def test_a_block_is_bash(code):
    done = subprocess.run(["bash", "-n", "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_images_are_built_by_targets_that_exist():
    stages = re.findall(r"^FROM \S+ AS (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for command in commands("docker", "build"):
        (image,) = values(command, "-t")
        target = values(command, "--target")
        assert (ROOT / command[-1] / "Dockerfile").is_file()
        assert (image.partition(":")[0], target) in [("polyglot", []), ("polyglot-processor", ["processor"])]
        assert set(target) <= set(stages)


def test_compose_is_asked_for_files_and_services_that_exist():
    for command in commands("docker", "compose"):
        assert all((ROOT / file).is_file() for file in values(command, "-f") if file not in SERVICES)
        scaled = [word.partition("=")[0] for word in values(command, "--scale")]
        last = [command[-1]] if command[-1] in SERVICES else []
        assert set(scaled) <= set(SERVICES)
        assert last or scaled or command[-1] in ("up", "-d", "--build", "ps", "doctor"), command


def test_kubectl_is_asked_for_objects_that_exist():
    for command in commands("kubectl"):
        text = " ".join(command)
        for path in values(command, "-f") + values(command, "-k"):
            assert (ROOT / path).exists() or path == "-n", path
        for kind, name in re.findall(r"\b(deployment|svc)[/ ]([\w-]+)", text):
            assert one(KINDS[kind], name)
        if "apply" not in command:
            assert values(command, "-n") == ["polyglot"] or command[1:3] == ["create", "namespace"], text
        for name in re.findall(r"secret (?:generic )?([\w-]+)", text):
            assert name == IN_THE_SECRET


def test_a_forwarded_port_is_one_of_the_service():
    for command in commands("kubectl", "port-forward"):
        ports = [port["port"] for port in one("Service", "polyglot-api")["spec"]["ports"]]
        assert int(command[-1].partition(":")[2]) in ports


def test_an_image_is_set_in_a_container_that_exists():
    for command in commands("kubectl", "set", "image"):
        assert command[-1].partition("=")[0] == container(one("Deployment", "polyglot-api"))["name"]


def test_the_secret_of_the_document_is_the_one_that_pods_ask_for():
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    manifest = (ROOT / "k8s" / "polyglot.yaml").read_text()
    asked = re.findall(r"secret:\n +name: (\S+)", manifest) + re.findall(r"secretKeyRef:\n +name: (\S+)", manifest)
    assert set(asked) == {IN_THE_SECRET}
    variables = [each for each in container(one("Deployment", "polyglot-api"))["env"] if "valueFrom" in each]
    for key in [each["valueFrom"]["secretKeyRef"]["key"] for each in variables]:
        assert f"| `{key}` |" in text
    assert "| `polyglot.toml` |" in text


def test_the_document_says_what_each_kind_is_for():
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    for each in objects():
        assert each["kind"] in text, each["kind"]
    for file in (ROOT / "k8s" / "overlays" / "prod").glob("[!ks]*.yaml"):
        assert f"`{file.name}`" in text


def test_the_variables_of_production_are_made_as_the_document_says(tmp_path: Path):
    text = (ROOT / "docs" / "containers.md").read_text()
    lines = re.findall(r"^(?:cp|sed) .*\.env\.prod$", text, re.MULTILINE)
    assert len(lines) == 2
    shutil.copy(ROOT / ".env.prod.example", tmp_path)
    subprocess.run(["bash", "-ec", "\n".join(lines)], cwd=tmp_path, check=True)
    made = dict(re.findall(r"^([A-Z_]+)=(.*)$", (tmp_path / ".env.prod").read_text(), re.MULTILINE))
    assert len(made["JWT_SECRET"]) == len(made["REDIS_PASSWORD"]) == 64
