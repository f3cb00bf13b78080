"""What the gates share: the event, an engine, and how two costs are compared on a machine that does not keep still."""

import gc
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine

ROOT = Path(__file__).parents[2]
EVENT = b'{"type": "message", "data": {"text": "Hello, everybody in this room; the meeting begins at noon, today."}}'
assert len(EVENT) == 106

ROUNDS = 21
SECONDS_PER_SIDE = 0.02
FIGURES = pytest.StashKey[list[str]]()


def pytest_report_header() -> list[str]:
    """Where and of what the figures are."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in cpuinfo if line.startswith("model name")), platform.machine())
    git = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, cwd=ROOT, check=False, capture_output=True, text=True).stdout.strip() or "unknown"
    packages = " ".join(f"{name} {version(name)}" for name in ("falcon", "gunicorn", "gevent", "pytest-benchmark"))
    return [
        f"gates: {os.cpu_count()} x {cpu}, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}",
        f"gates: commit {commit}, core {_core.__version__}, Python {platform.python_version()}, {packages}",
        "gates: every figure counts publishes, or events of a history; none counts deliveries",
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What was found, whether the gates held or not."""
    if figures := config.stash.get(FIGURES, []):
        terminalreporter.section("gates: ratios of CPU time, medians of interleaved rounds; figures count publishes")
        for line in figures:
            terminalreporter.write_line(line)


def cost(work: Callable[[], Any], times: int) -> float:
    """CPU seconds of this process for one call."""
    began = time.process_time_ns()
    for _ in range(times):
        work()
    return (time.process_time_ns() - began) * 1e-9 / times


@pytest.fixture
def event() -> bytes:
    """The publish body that every figure is about."""
    return EVENT


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EmbeddedEngine]:
    """An engine whose log has been gone round, so that its pages are warm."""
    engine = EmbeddedEngine(str(tmp_path), history_bytes=16 << 20, max_channels=100)
    warm = b'{"events":[' + b",".join([b'{"channel":"warm",' + EVENT[1:]] * 1000) + b"]}"
    for _ in range(60):
        engine.publish_batch("demo", warm)
    yield engine
    engine.close()


@pytest.fixture
def report(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., float]:
    """Says what was found: in the summary of the run, and in what pytest-benchmark saves."""

    def say(ratios: list[float], wanted: str, **figures: float) -> float:
        ratio, quartiles = statistics.median(ratios), statistics.quantiles(ratios, n=4)
        figures = {"lower_quartile": quartiles[0], "upper_quartile": quartiles[2], **figures}
        figures = {name: round(figure, 3) for name, figure in figures.items()}
        benchmark.extra_info.update(ratio=round(ratio, 3), wanted=wanted, **figures)
        rest = ", ".join(f"{name} {figure}" for name, figure in figures.items())
        line = f"{request.node.name}: ratio {ratio:.3f}, wanted {wanted} ({rest})"
        request.config.stash.setdefault(FIGURES, []).append(line)
        return ratio

    return say


@pytest.fixture
def at_least(benchmark: Any, report: Callable[..., float]) -> Callable[..., None]:
    """Asserts that `fast` does the same work at least `factor` times as cheaply as `slow`.

    Both are timed in turn, in rounds so short that the machine is the same for both; what counts is the median of the
    rounds' ratios, and CPU time, which does not run while others have the processor.
    """

    def gate(factor: float, slow: Callable[[], Any], fast: Callable[[], Any], events: int = 1) -> None:
        sides = [
            (work, max(1, round(SECONDS_PER_SIDE / min(cost(work, 20) for _ in range(3))))) for work in (slow, fast)
        ]
        gc.collect()
        gc.disable()
        try:
            rounds = [[cost(work, times) for work, times in sides] for _ in range(ROUNDS)]
        finally:
            gc.enable()
        theirs, ours = (statistics.median(side) / events * 1e6 for side in zip(*rounds, strict=True))
        ratio = report(
            [slow / fast for slow, fast in rounds],
            f">= {factor}",
            us_per_event=ours,
            reference_us_per_event=theirs,
        )
        benchmark.pedantic(fast, rounds=ROUNDS, iterations=sides[1][1], warmup_rounds=1)
        assert ratio >= factor, benchmark.extra_info

    return gate
