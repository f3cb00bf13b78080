"""What the console takes from npm is what npm has."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_libraries_that_are_kept_are_those_of_npm(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "vendor_console.sh", tmp_path], check=True, timeout=300)
    kept = ROOT / "python" / "polyglot_gateway" / "console" / "vendor"
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == {
        file.name: file.read_bytes() for file in tmp_path.iterdir()
    }
