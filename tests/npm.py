"""Packages of npm for tests: exactly what a package-lock.json says, installed once for all test runs."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

CACHE = Path(__file__).parents[1] / "build" / "npm"


def install(sources: Path) -> Path:
    """Install what `package-lock.json` in `sources` says; returns a copy of that folder with `node_modules`."""
    lock = sources / "package-lock.json"
    folder = CACHE / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        for source in sources.iterdir():
            shutil.copy(source, folder)
        if not (folder / "installed").exists():
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=folder, check=True, timeout=300)
            (folder / "installed").touch()
    return folder
