"""The README's snippets are run as they stand there, against a gateway that was just started."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVENT_SOURCE = Path(__file__).with_name("event_source.mjs")
SNIPPETS = re.findall(r"^```(\w+) run\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def command(language: str, code: str, folder: Path) -> list[str]:
    if language == "bash":
        return ["bash", "-euo", "pipefail", "-c", code]
    if language == "python":
        return [sys.executable, "-u", "-c", code]
    assert shutil.which("node"), "the JavaScript snippets need node: apt-get install nodejs"
    # Browsers have EventSource; node has it only in some versions.
    script = folder / "snippet.mjs"
    script.write_text(f"import {str(EVENT_SOURCE)!r};\n{code}")
    return ["node", str(script)]


@pytest.mark.parametrize(("language", "code"), SNIPPETS, ids=[f"{i}-{s[0]}" for i, s in enumerate(SNIPPETS)])
def test_the_snippet_works_as_it_stands(gateway, tmp_path, language, code):
    gateway.publish("room:test", {"text": "Hello"}, app="demo-app")
    code = code.replace("http://localhost:4000", f"http://localhost:{gateway.port}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        command(language, code, tmp_path),
        env={**os.environ, "PATH": path, "POLYGLOT_URL": f"http://localhost:{gateway.port}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Those that follow a stream never end; all of them print an event or its acknowledgement.
    output = ""
    for line in process.stdout:
        output += line
        if "Hello" in output:
            break
    process.kill()
    process.wait()
    assert "Hello" in output or "evt_" in output, output


def test_every_language_is_there():
    assert {language for language, _ in SNIPPETS} == {"bash", "js", "python"}
