"""cpp/core compiles with no Python and no Boost within its reach."""

import json
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = re.compile(r"(?:^|/)(?:python3?[\d.]*|boost|pybind11)(?:/|$)")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """How a build of nothing but the core compiles it."""
    build = tmp_path_factory.mktemp("core")
    subprocess.run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja"], check=True, capture_output=True)
    listed = json.loads((build / "compile_commands.json").read_text())
    return [command for command in listed if "/cpp/" in command["file"]]


def test_a_plain_build_is_the_core_alone(commands: list[dict[str, str]]) -> None:
    built = {Path(command["file"]) for command in commands}
    assert built == set((ROOT / "cpp" / "core").glob("*.cpp"))


def test_no_include_path_leads_to_python_or_boost(commands: list[dict[str, str]]) -> None:
    for command in commands:
        for word in shlex.split(command["command"]):
            if word.startswith(("-I", "-isystem", "/")):
                assert not FORBIDDEN.search(word.removeprefix("-isystem").removeprefix("-I")), word


def test_no_header_of_python_or_boost_is_read(commands: list[dict[str, str]]) -> None:
    def headers(command: dict[str, str]) -> list[str]:
        words = shlex.split(command["command"])
        words = words[words.index("-o") - len(words) :]
        compiler = [word for word in shlex.split(command["command"]) if not word.endswith("ccache")]
        kept = [word for word in compiler if word not in ("-c", words[0], words[1])]
        listing = subprocess.run([*kept, "-M"], cwd=command["directory"], check=True, capture_output=True, text=True)
        return listing.stdout.replace("\\\n", " ").split()[1:]

    with ThreadPoolExecutor(2) as pool:
        for command, read in zip(commands, pool.map(headers, commands), strict=True):
            wrong = [header for header in read if FORBIDDEN.search(header)]
            assert not wrong, f"{command['file']} reads {wrong}"
