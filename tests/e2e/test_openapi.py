"""Requests made up from /openapi.json: never a 5xx, never an answer that the document does not have."""

import subprocess
import sys
from pathlib import Path

import pytest

# As somebody without a key of the apps that are made up, and as one with all rights in one app. In the batches of the
# latter an event may be refused with the answer 200, and a key used twice is refused in a valid request.
STRANGER = 'headers = { X-API-Key = "valid_key_other" }\n'
INSIDER = """
headers = { X-API-Key = "valid_key_demo" }
[parameters]
"path.app" = "demo"
[checks.negative_data_rejection]
enabled = false
[checks.positive_data_acceptance]
enabled = false
"""
BOUNDS = """
[generation]
max-examples = 40
# The same requests in every run: a change that breaks one is told from the one before.
deterministic = true
[phases.stateful]
enabled = false
[[operations]]
include-path-regex = "/events$"
enabled = false
# No pattern tells the cursors that the gateway has given from others.
[[operations]]
include-path-regex = "/channels$"
[operations.checks.positive_data_acceptance]
enabled = false
[[operations]]
include-path-regex = "/analytics$"
[operations.checks.positive_data_acceptance]
enabled = false
# Several long fields make a URL that is refused as such.
[operations.checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 414]
"""


@pytest.mark.parametrize("who", [STRANGER, INSIDER], ids=["stranger", "insider"])
def test_the_document_and_the_gateway_agree(shared_gateway, tmp_path: Path, who):
    (tmp_path / "schemathesis.toml").write_text(f"continue-on-failure = true\n{who}{BOUNDS}")
    schemathesis = Path(sys.executable).with_name("schemathesis")
    command = [schemathesis, "run", f"http://127.0.0.1:{shared_gateway.port}/openapi.json", "--no-color"]
    answer = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr
