"""The Dockerfile: it cannot be built here, but read, linted, and asked whether the build gets what it needs."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pybind11
import pytest
from tests.deployment import ROOT, STANDALONE, compose, container, one

from polyglot_gateway import _core
from polyglot_gateway.cli import main

DOCKERFILE = ROOT / "Dockerfile"
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


class Stage(NamedTuple):
    """One FROM and what follows it."""

    base: str
    lines: list[tuple[str, str]]

    def last(self, instruction: str) -> str:
        """The arguments of the last line that begins so."""
        return [arguments for name, arguments in self.lines if name == instruction][-1]


def read_stages() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    stages: dict[str, Stage] = {}
    for line in filter(None, text.splitlines()):
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\w+)", arguments).groups()
            stages[name] = stage = Stage(base, [])
        else:
            stage.lines.append((instruction, arguments.strip()))
    return stages


STAGES = read_stages()
IMAGES = ["gateway", "processor"]


def test_hadolint_finds_nothing():
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), DOCKERFILE], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gateway_is_built_where_no_target_is_named():
    assert list(STAGES)[-1] == "gateway"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_user_by_number_that_kubernetes_names_too(image):
    assert STAGES[image].base == "runtime"
    user, group = STAGES["runtime"].last("USER").split(":")
    for name in ("polyglot-api", "go-processor"):
        pod = one("Deployment", name)["spec"]["template"]["spec"]["securityContext"]
        assert (pod["runAsUser"], pod["runAsGroup"]) == (int(user), int(group))
    assert not any(instruction == "USER" for instruction, _ in STAGES[image].lines)


def test_no_compiler_reaches_an_image():
    copies = [arguments for stage in STAGES.values() for name, arguments in stage.lines if name == "COPY"]
    assert [copy for copy in copies if "--from" in copy] == ["--from=build /opt/polyglot /opt/polyglot"]
    assert "g++" in str(STAGES["build"].lines)
    assert "g++" not in str([STAGES[name].lines for name in ("runtime", *IMAGES)])


def test_images_come_from_the_same_base_and_from_no_host():
    bases = {stage.base for stage in STAGES.values()} - set(STAGES)
    assert len(bases) == 1
    assert all("/" not in base for base in bases)


@pytest.mark.parametrize(("image", "deployment"), [("gateway", "polyglot-api"), ("processor", "go-processor")])
def test_ports_are_those_of_kubernetes(image, deployment):
    ports = [str(port["containerPort"]) for port in container(one("Deployment", deployment))["ports"]]
    assert STAGES[image].last("EXPOSE").split() == ports


@pytest.mark.parametrize("image", IMAGES)
def test_it_is_asked_by_python_on_a_port_of_its_own(image):
    command = json.loads(STAGES[image].last("HEALTHCHECK").partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    ast.parse(command[2])
    port = re.search(r"127\.0\.0\.1:(\d+)/", command[2])[1]
    assert port in STAGES[image].last("EXPOSE").split()


@pytest.mark.parametrize("image", IMAGES)
def test_it_starts_a_command_that_exists(image, capsys, monkeypatch):
    command = json.loads(STAGES[image].last("ENTRYPOINT"))
    if image == "gateway":
        command += json.loads(STAGES[image].last("CMD"))
    else:
        arguments = compose("compose.yaml")["services"]["go-processor"]["command"]
        assert container(one("Deployment", "go-processor"))["args"] == arguments
        command += arguments
    monkeypatch.setattr("sys.argv", [*command, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert [word for word in command if word.startswith("--") and word not in shown] == []


def test_the_data_folder_is_the_one_that_is_mounted():
    assert "DATA_DIR=/data" in STAGES["gateway"].last("ENV").split()
    assert STAGES["gateway"].last("VOLUME") == "/data"
    mounts = container(one("Deployment", "polyglot-api"))["volumeMounts"]
    assert "/data" in [mount["mountPath"] for mount in mounts]
    assert compose("compose.yaml")["services"]["polyglot"]["volumes"] == ["/data"]


def test_the_version_is_that_of_the_sources():
    assert f'image.version="{_core.__version__}"' in STAGES["runtime"].last("LABEL").replace(" ", "")


def reaches_the_build(path: Path) -> bool:
    """As .dockerignore has it: the last line that matches decides."""
    parts = path.relative_to(ROOT).parts
    ancestors = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    kept = True
    for line in IGNORED:
        pattern = line.removeprefix("!")
        names = [name.rpartition("/")[2] for name in ancestors] if pattern.startswith("**/") else ancestors
        if any(fnmatch(name, pattern.removeprefix("**/")) for name in names):
            kept = line.startswith("!")
    return kept


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What stands in /src when the wheel is built."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in listed.splitlines() if reaches_the_build(ROOT / name)]
    for arguments in [arguments for name, arguments in STAGES["build"].lines if name == "COPY"]:
        *sources, target = arguments.split()
        for source in sources:
            taken = [file for file in files if file == ROOT / source or (ROOT / source) in file.parents]
            assert taken, f"{source} does not reach the build"
            for file in taken:
                inside = file.relative_to(ROOT / source) if file != ROOT / source else Path(file.name)
                copy = tmp_path / "src" / target / inside
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
    return tmp_path / "src"


def test_the_build_gets_what_it_needs_and_no_more(context, tmp_path):
    project = tomllib.loads((context / "pyproject.toml").read_text())["project"]
    for name in [project["readme"], *project["license-files"]]:
        assert (context / name).is_file()
    configure = ["cmake", "-S", context, "-B", tmp_path / "build", "-G", "Ninja", "-DPOLYGLOT_PYTHON=ON"]
    find = [f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", f"-DPython_EXECUTABLE={sys.executable}"]
    done = subprocess.run([*configure, *find], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (context / "python" / "polyglot_gateway" / "engine" / "redis_functions.lua").is_file()
    assert {path.name for path in context.iterdir()} == {
        "CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml", "cpp", "python"
    }  # fmt: skip


def test_kubernetes_and_compose_run_these_images():
    kubernetes = {container(one("Deployment", name))["image"] for name in ("polyglot-api", "go-processor")}
    assert kubernetes == {"polyglot:latest", "polyglot-processor:latest"}
    services = compose("compose.yaml")["services"]
    built = {service["image"]: service["build"]["target"] for service in services.values() if "build" in service}
    assert built == {
        "polyglot:${POLYGLOT_TAG:-latest}": "gateway",
        "polyglot-processor:${POLYGLOT_TAG:-latest}": "processor",
    }
    assert STANDALONE.is_file()
