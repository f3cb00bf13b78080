"""The snippets of the README and the documents are run as they stand there, against a gateway that was just started."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.e2e import phoenix_client
from tests.serving import PATIENCE, Gateway, free_port

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EVENT_SOURCE = Path(__file__).with_name("event_source.mjs")
SNIPPETS = [
    pytest.param(language, code, id=f"{document.stem}-{number}-{language}")
    for document in DOCUMENTS
    for number, (language, code) in enumerate(
        re.findall(r"^```(\w+) run\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    )
]
# Browsers have both; node has them only in some versions.
SUPPLIED = f"""
import {str(EVENT_SOURCE)!r};
import WebSocket from "ws";
globalThis.WebSocket ??= WebSocket;
"""


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the packages that the JavaScript snippets import."""
    assert shutil.which("npm"), "the JavaScript snippets need node and npm: apt-get install nodejs npm"
    return phoenix_client.install() / "node_modules"


def command(language: str, code: str, folder: Path) -> list[str]:
    if language == "bash":
        return ["bash", "-euo", "pipefail", "-c", code]
    if language == "python":
        return [sys.executable, "-u", "-c", code]
    (folder / "supplied.mjs").write_text(SUPPLIED)
    script = folder / "snippet.mjs"
    script.write_text(f'import "./supplied.mjs";\n{code}')
    return ["node", str(script)]


@pytest.mark.parametrize(("language", "code"), SNIPPETS)
def test_the_snippet_works_as_it_stands(gateway, tmp_path, request, language, code):
    gateway.publish("room:test", {"text": "Hello"}, app="demo-app")
    code = code.replace("localhost:4000", f"localhost:{gateway.port}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if language == "js":
        (tmp_path / "node_modules").symlink_to(request.getfixturevalue("node_modules"))
    process = subprocess.Popen(
        command(language, code, tmp_path),
        env={**os.environ, "PATH": path, "POLYGLOT_URL": f"http://localhost:{gateway.port}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Those that follow a stream never end; all of them print an event or its acknowledgement.
    deadline = threading.Timer(PATIENCE, process.kill)
    deadline.start()
    output = ""
    for line in process.stdout:
        output += line
        if "Hello" in output:
            break
    deadline.cancel()
    process.kill()
    process.wait()
    assert "Hello" in output or "evt_" in output, output


def test_every_language_is_there():
    assert {snippet.values[0] for snippet in SNIPPETS} == {"bash", "js", "python"}


def test_a_route_is_added_as_the_document_says(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "serving.md").read_text()
    name, code = re.search(r"^```python (\w+\.py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL).groups()
    shell = re.search(r"^```bash\n(.*?)^```", text[text.index(code) :], re.MULTILINE | re.DOTALL)[1]
    (tmp_path / name).write_text(code)
    port = free_port()
    command = ["bash", "-c", "exec " + shell.replace("127.0.0.1:4000", f"127.0.0.1:{port}")]
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    gateway = Gateway(tmp_path, port, (), {}, tuple(command), "Listening at")
    try:
        answer = gateway.wait_until_ready().request("GET", "/hello")
        assert answer.status == 200
        assert answer.body == b"Hello"
        assert gateway.publish("room:test", 1)["offset"] == 1
    finally:
        gateway.kill_everything()
