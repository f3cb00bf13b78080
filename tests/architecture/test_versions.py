"""The version stands in more than one place, and is the same in all of them."""

import re
import tomllib
from pathlib import Path

from polyglot_gateway import _core
from polyglot_gateway.processor.proto import processor_pb2, processor_pb2_grpc

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_same_everywhere() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cmake = re.search(r"project\(polyglot_gateway VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert cmake
    assert cmake[1] == declared == _core.__version__


def test_the_changelog_has_an_entry_for_it() -> None:
    assert f"## {_core.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def requirements() -> dict[str, str]:
    """The versions in pyproject.toml of what generated code concerns, by package, as `==1` or `>=1`."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = pyproject["build-system"]["requires"] + pyproject["project"]["optional-dependencies"]["grpc"]
    return dict(re.fullmatch(r"([\w-]+)(.+)", requirement).groups() for requirement in listed)


def test_grpc_is_no_older_than_the_generated_code() -> None:
    generated = Path(processor_pb2_grpc.__file__).read_text()
    grpc = re.search(r"GRPC_GENERATED_VERSION = '([\d.]+)'", generated)
    protobuf = re.search(r"Protobuf Python Version: ([\d.]+)", Path(processor_pb2.__file__).read_text())
    assert grpc
    assert protobuf
    required = requirements()
    assert required["grpcio-tools"] == f"=={grpc[1]}"
    for package in ("grpcio", "grpcio-health-checking", "grpcio-reflection"):
        assert required[package] == f">={grpc[1]}"
    assert required["protobuf"] == f">={protobuf[1]}"
