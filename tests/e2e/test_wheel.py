"""The wheel: it builds, and works in an environment that has nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: object, cwd: Path) -> str:
    answer = subprocess.run([str(word) for word in command], cwd=cwd, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment(tmp_path: Path):
    build = f"--config-settings=build-dir={tmp_path / 'build'}"
    run(sys.executable, "-m", "pip", "wheel", ROOT, "--no-deps", "--wheel-dir", tmp_path, build, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "empty", cwd=tmp_path)
    installed = tmp_path / "empty" / "bin"
    run(installed / "python", "-m", "pip", "install", "-q", wheel, cwd=tmp_path)
    code = "from polyglot_gateway import _core; _core.check_json(b'{}'); print(_core.__version__)"
    version = run(installed / "python", "-c", code, cwd=tmp_path).strip()
    run(installed / "python", "-c", "import polyglot_gateway.server.worker, redis, urllib3", cwd=tmp_path)
    lua = "from importlib.resources import files; print(files('polyglot_gateway.engine') / 'redis_functions.lua')"
    assert Path(run(installed / "python", "-c", lua, cwd=tmp_path).strip()).is_file()
    console = (
        "from polyglot_gateway.console.assets import Assets; a = Assets(); print(bool(a.get(a.version, 'main.js')))"
    )
    assert run(installed / "python", "-c", console, cwd=tmp_path).strip() == "True"
    generated = "from importlib.resources import files; print(*files('polyglot_gateway.processor.proto').iterdir())"
    for name in ("processor_pb2.py", "processor_pb2.pyi", "processor_pb2_grpc.py"):
        assert name in run(installed / "python", "-c", generated, cwd=tmp_path)
    require = "from polyglot_gateway.processor.grpc_extra import require_grpc; require_grpc('processor')"
    without = subprocess.run(
        [installed / "python", "-c", require], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert "pip install 'polyglot-gateway[grpc]'" in without.stderr
    run(installed / "python", "-m", "pip", "install", "-q", f"{wheel}[grpc]", cwd=tmp_path)
    run(installed / "python", "-c", require, cwd=tmp_path)
    assert run(installed / "polyglot", "--version", cwd=tmp_path).split() == ["polyglot", version]
    assert "serve" in run(installed / "polyglot", "--help", cwd=tmp_path)
