"""start.sh but for the installation: the gateway of this Python stands in for the one that it would build."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]


def free_port(host: str = "127.0.0.1") -> int:
    with contextlib.closing(socket.create_server((host, 0))) as probe:
        return probe.getsockname()[1]


def two_free_ports() -> int:
    """The first of two in a row, of those that the kernel gives nobody."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        ends = ("127.0.0.1", port), ("127.0.0.1", port + 1)
        with contextlib.suppress(OSError), socket.create_server(ends[0]), socket.create_server(ends[1]):
            return port
    raise AssertionError("no two ports in a row are free")


@pytest.fixture
def start_sh(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    shutil.copy(ROOT / "start.sh", tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copytree(ROOT / "nginx", tmp_path / "nginx")
    with (tmp_path / "scripts" / "setup.sh").open("a") as setup:
        setup.write("install_packages() { :; }\ninstall_gateway() { :; }\n")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, arguments in (("python", ""), ("polyglot", "-c 'from polyglot_gateway.cli import main; main()'")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        (programs / name).chmod(0o755)

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        small = {"HISTORY_BYTES": str(16 << 20), "MAX_CHANNELS": "1000", "WORKERS": "1"}
        process = subprocess.Popen(
            ["bash", "start.sh", "--check", *arguments],
            cwd=tmp_path,
            env={**os.environ, **small, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=45)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return run


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_it_asks_where_the_gateway_listens(start_sh, host):
    done = start_sh(BIND=f"{host}:{free_port(host)}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_several_instances_behind_nginx(start_sh, tmp_path):
    redis = RedisServer(tmp_path / "redis", "--save", "", "--appendonly", "no")
    try:
        done = start_sh(
            "--instances", "2", PORT=str(two_free_ports()), NGINX_PORT=str(free_port()), REDIS_URL=redis.url
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ok    publish\n" in done.stdout
        assert redis.client.exists("polyglot:{smoke-test}:channels"), "they kept the events there"
    finally:
        redis.close()


@pytest.mark.parametrize("number", ["", "0", "three", "-1"])
def test_it_wants_a_number_of_instances(start_sh, number):
    done = start_sh("--instances", number)
    assert done.returncode == 1
    assert "--instances needs a number" in done.stderr


def test_it_refuses_a_unix_socket(start_sh, tmp_path):
    done = start_sh(BIND=f"unix:{tmp_path}/gateway.sock")
    assert done.returncode == 1
    assert "start.sh needs a port" in done.stderr


@pytest.mark.slow
def test_it_gives_up_on_a_gateway_that_does_not_get_ready(start_sh, tmp_path):
    polyglot = tmp_path / ".venv" / "bin" / "polyglot"
    polyglot.write_text(
        polyglot.read_text().replace("exec", '[ "$1" = serve ] && echo starting && exec sleep 60\nexec')
    )
    done = start_sh(BIND=f"127.0.0.1:{free_port('127.0.0.1')}")
    assert done.returncode == 1
    assert "starting" in done.stderr
    assert "not ready" in done.stderr


def test_the_serving_line_names_the_process_that_takes_signals(gateway):
    assert f"the master is pid {gateway.process.pid}\n" in gateway.log.read_text()
