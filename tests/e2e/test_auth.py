"""docs/auth.md is run as it stands there, from the first key on, in one shell and an empty folder."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.serving import PATIENCE, free_port

PAGE = (Path(__file__).parents[2] / "docs" / "auth.md").read_text()


def test_keys_and_tokens_as_the_document_says(tmp_path: Path) -> None:
    blocks = re.findall(r"^```bash auth\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == PAGE.count("```bash") == 4
    port = free_port()
    code = 'echo "--- next"\n'.join(blocks).replace("4000", str(port))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "WORKERS": "2",
        "HISTORY_BYTES": str(16 << 20),
    }
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=tmp_path,
        env=environment,
        stdout=(tmp_path / "said").open("w"),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = shell.wait(2 * PATIENCE)
        said = (tmp_path / "said").read_text()
        assert status == 0, said
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
    first, rotated, revoked, token = said.split("--- next\n")
    assert '"offset":1' in first
    assert rotated.count('"text": "Hello"') == 2  # by the new key and the old
    assert rotated.count("backend") == 2
    assert '"code":"unauthorized"' in revoked
    assert '"text": "Hello"' in token
    assert '"code":"forbidden"' in token
    assert "Traceback" not in (tmp_path / "polyglot.log").read_text()
