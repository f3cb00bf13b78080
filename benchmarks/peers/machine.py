"""Of what the figures are: the machine, and the versions of all that takes part."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[2]


def machine() -> dict[str, str]:
    """Names and values for people; what cannot be found out is "unknown"."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in cpuinfo if line.startswith("model name")), platform.machine())
    return {
        "cpu": f"{os.cpu_count()} x {cpu}",
        "kernel": platform.release(),
        "load": f"{os.getloadavg()[0]:.2f}",
        "commit": _said("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"),
        "nginx": _said("nginx", "-v").rpartition("/")[2],
        "nchan": _said("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"),
        "redis": _said("redis-server", "--version").partition("v=")[2].partition(" ")[0],
        "wrk": _said("wrk", "-v").partition("[")[0].removeprefix("wrk ").strip(),
        "boost": _boost(),
        "python": platform.python_version(),
        **{name: _package(name) for name in ("gunicorn", "gevent", "falcon")},
    }


def _said(*command: str) -> str:
    try:
        run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    except OSError:
        return "unknown"
    lines = (run.stdout + run.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"


def _boost() -> str:
    header = Path("/usr/include/boost/version.hpp")
    found = re.search(r'BOOST_LIB_VERSION "([\d_]+)"', header.read_text()) if header.exists() else None
    return found[1].replace("_", ".") if found else "unknown"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
