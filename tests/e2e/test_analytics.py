"""What docs/analytics.md says works as it stands there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.redis_server import RedisServer

DOCUMENT = (Path(__file__).parents[2] / "docs" / "analytics.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def shape(value: object) -> object:
    """The names in a JSON value."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else ...


def test_the_answer_is_as_the_document_shows_it(gateway):
    for price in (1, 2, None):
        gateway.publish("room:test", {"price": price}, app="demo-app")
    command = ["bash", "-c", block("bash").replace("localhost:4000", f"localhost:{gateway.port}")]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    shown = json.loads(block("json"))
    assert shape(answer) == shape(shown)
    assert (answer["count"], answer["fields"]["/price"]["mean"]) == (3, 1.5)


@pytest.mark.parametrize("engine", ["embedded", "redis"])
def test_a_script_reads_beside_the_gateway(start, tmp_path, engine):
    environment = {}
    if engine == "redis":
        redis = RedisServer(tmp_path / "redis")
        environment["REDIS_URL"] = redis.url
    try:
        gateway = start(**environment)
        for price in (1, 2, 4):
            gateway.publish("room:test", {"price": price}, app="demo-app")
        script = subprocess.run(
            [sys.executable, "-c", block(r"python figures\.py")],
            cwd=gateway.folder,
            env={**os.environ, "HISTORY_BYTES": str(16 << 20), "MAX_CHANNELS": "1000", **environment},
            check=False,
            capture_output=True,
            text=True,
        )
        assert script.returncode == 0, script.stderr
        lines = script.stdout.splitlines()
        assert lines[0].startswith("[1 2 3] [")
        assert lines[1] == "[1. 3. 7.]"
        assert lines[2].startswith("3 ")
        assert gateway.publish("room:test", {"price": 8}, app="demo-app")["offset"] == 4, "nobody was disturbed"
    finally:
        if engine == "redis":
            redis.close()
