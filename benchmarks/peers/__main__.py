"""Compare this gateway with Nchan, stock gunicorn and the bare kernel: `python -m benchmarks.peers` in the root.

The sides of a figure take turns (A B A B …), each with one worker process, all on loopback. Leave the machine alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import figures, processor_figures, redis_figures
from .figures import Bench, Figure
from .load import Load
from .machine import ROOT, machine
from .report import Rounds, as_json, lines
from .servers import NCHAN, Servers

FIGURES = figures.FIGURES | redis_figures.FIGURES | processor_figures.FIGURES


def main() -> int:
    """Measure, print, and return the exit status: 1 when a figure could not be taken, 2 when nothing can be."""
    options = arguments()
    if lacking := what_is_lacking(options.tools):
        print("peers: " + "; ".join(lacking), file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the servers too
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the servers inherit it
    about = machine()
    print(*(f"{name} {value}" for name, value in about.items()), sep=", ", end="\n\n", flush=True)
    taken: dict[str, object] = {}
    failed = False
    with tempfile.TemporaryDirectory(prefix="polyglot-peers-") as temporary:
        folder = Path(temporary)
        servers = Servers(folder, options.tools, options.server)
        try:
            bench = Bench(servers, Load(folder, options.tools, options.seconds), options.idle)
            for name in options.only or FIGURES:
                figure = FIGURES[name](bench)
                try:
                    rounds = take(figure, options.rounds)
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    failed = True
                    print(f"{name}: FAILED: {error}", end="\n\n", flush=True)
                    continue
                print(*lines(name, figure, rounds), sep="\n", end="\n\n", flush=True)
                taken[name] = as_json(figure, rounds)
        finally:
            servers.close()
    if options.json:
        report = {"machine": about, "server": options.server, "seconds": options.seconds, "figures": taken}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return int(failed)


def take(figure: Figure, rounds: int) -> Rounds:
    """Let the sides measure in turn."""
    if figure.warm:
        for measure in figure.sides.values():
            measure()
    taken: Rounds = {side: [] for side in figure.sides}
    for _ in range(rounds):
        for side, measure in figure.sides.items():
            taken[side].append(measure())
    return taken


def what_is_lacking(tools: Path) -> list[str]:
    """What has to be installed or built first, in words."""
    lacking = []
    packages = {
        "nginx-light": shutil.which("nginx"),
        "libnginx-mod-nchan": NCHAN.exists(),
        "wrk": shutil.which("wrk"),
        "redis-server": shutil.which("redis-server"),
    }
    if absent := [package for package, there in packages.items() if not there]:
        lacking.append("install " + " ".join(absent))
    if not all((tools / tool).exists() for tool in ("floor", "fanout")):
        build = "cmake --preset release && cmake --build --preset release --target floor fanout"
        lacking.append(f"{tools} lacks the tools; build them: {build}")
    return lacking


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], choices=FIGURES, metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--rounds", type=int, default=5, help="how often each side measures (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="for how long at a time (3)")
    parser.add_argument("--idle", type=int, default=10_000, help="idle subscribers of memory and idle (10000)")
    parser.add_argument("--server", choices=("native", "wsgi"), default="native", help="of the gateway (native)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value here too")
    tools = ROOT / "build" / "release" / "benchmarks" / "load"
    parser.add_argument("--tools", type=Path, default=tools, help="folder of floor and fanout (of the preset release)")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0 or options.idle < 1:
        parser.error("--rounds, --seconds and --idle must be positive")
    options.tools = options.tools.resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
