"""What _core.pyi promises is what the compiled module has."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


# pybind11 gives every class a metaclass of its own, and those without a constructor one that only raises.
KNOWN = """\
polyglot_gateway\\._core\\.(Access|ChannelRule|Feed|Gateway|Grant|Hold|Limits|News|Rules|Server|Submission|AppendCalls|ProcessCall|RedisLayout)
polyglot_gateway\\._core\\.(Feed|Hold|News|Submission)\\.__init__
"""


def test_the_stub_agrees_with_the_module(tmp_path: Path) -> None:
    (tmp_path / "known").write_text(KNOWN)
    command = [sys.executable, "-m", "mypy.stubtest", "polyglot_gateway._core", "--allowlist", tmp_path / "known"]
    answer = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
