"""Many hours of load in a few minutes: `python -m tests.soak --minutes 5` prints what became of it all.

One gateway with two workers. Publishers of every kind, witnesses who follow from beginning to end, guests who come and
go, readers of history and members of a channel; more channels than are kept, so that some are evicted all the time; the
rules are reloaded, every third time with a mistake in them; and now and then one worker is killed, always another one
than the first, whose memory is watched.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.processes import MEBIBYTE, descriptors, own_memory
from tests.serving import Gateway, free_port, wait_until
from tests.soak_load import Ledger, load, witnesses

RULES = '[apps."*"]\nrules = [{{ channels = "churn:*", max_event_bytes = {limit} }}]\n'
RELOAD_SECONDS = 3.0
KILL_SECONDS = 15.0
SAMPLE_SECONDS = 0.5
SLACK = 4 * MEBIBYTE
"""That memory may have more in the end: allocators give pages back late."""


class Sample(NamedTuple):
    """What a process has at one moment."""

    memory: float
    """Bytes that are its own: the mapped history, which all share, is none of them."""
    descriptors: float
    threads: float


class Report(NamedTuple):
    """What became of it."""

    counts: dict[str, int]
    failures: list[str]
    """What one of the clients saw and must not see."""
    silent: int
    """Acknowledged events of which a witness neither had nor was told anything: must be 0."""
    processes: dict[str, tuple[Sample, Sample]]
    """What each had in the middle of the run's first third, and in its end."""

    def grown(self) -> list[str]:
        """The processes that have more in the end than they had early."""
        return [
            f"{name}: {early} -> {late}"
            for name, (early, late) in self.processes.items()
            if late.memory > early.memory * 1.05 + SLACK
            or late.descriptors > early.descriptors + 10
            or late.threads > early.threads
        ]

    def __str__(self) -> str:
        lines = [f"{what:32}{many:>12,}" for what, many in sorted(self.counts.items())]
        lines += [f"{'silent':32}{self.silent:>12,}", f"{'failures':32}{len(self.failures):>12,}", *self.failures, ""]
        lines.append(
            f"{'process':24}{'MiB: first third':>18}{'end':>8}{'descriptors':>14}{'end':>6}{'threads':>9}{'end':>5}"
        )
        lines += [
            f"{name:24}{early.memory / MEBIBYTE:>18.1f}{late.memory / MEBIBYTE:>8.1f}"
            f"{early.descriptors:>14.0f}{late.descriptors:>6.0f}{early.threads:>9.0f}{late.threads:>5.0f}"
            for name, (early, late) in self.processes.items()
        ]
        return "\n".join(lines)


class Soak:
    """One run."""

    def __init__(self, gateway: Gateway, seconds: float, sockets: bool) -> None:
        self.gateway = gateway
        self.seconds = seconds
        self.sockets = sockets
        self.ledger = Ledger()
        workers = gateway.workers()
        self.watched = {"master": gateway.process.pid, "worker, never killed": workers[0]}
        self.samples: dict[str, list[Sample]] = {name: [] for name in self.watched}

    def run(self) -> Report:
        """Load it for its time, then wait until all who stay have had everything."""
        stop = threading.Event()
        followers = witnesses(self.gateway, self.ledger, self.sockets)
        workers = load(self.gateway, self.ledger, stop, self.sockets)
        self._disturb(time.monotonic() + self.seconds)
        stop.set()
        for worker in workers:
            worker.join(30)
            if worker.is_alive():
                self.ledger.fail(f"{worker.name} hangs")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.ledger.silent(), "the witnesses to have everything")
        for follower in followers:
            if follower.failure:
                self.ledger.fail(f"{follower}: {follower.failure!r}")
        metrics = self.gateway.request("GET", "/metrics").body.decode()
        self.ledger.count(
            "evicted channels", int(float(metrics.partition("\npolyglot_evictions_total ")[2].split()[0]))
        )
        early = {name: _middle(taken[len(taken) // 6 : len(taken) // 3]) for name, taken in self.samples.items()}
        late = {name: _middle(taken[-(len(taken) // 6) :]) for name, taken in self.samples.items()}
        return Report(
            dict(self.ledger.counts),
            self.ledger.failures,
            len(self.ledger.silent()),
            {name: (early[name], late[name]) for name in self.samples},
        )

    def _disturb(self, end: float) -> None:
        next_reload = time.monotonic() + RELOAD_SECONDS
        next_kill = time.monotonic() + KILL_SECONDS
        while (now := time.monotonic()) < end and not self.ledger.failures:
            for name, pid in self.watched.items():
                threads = len(os.listdir(f"/proc/{pid}/task"))
                self.samples[name].append(Sample(own_memory(pid), descriptors(pid), threads))
            if now > next_reload:
                self._reload()
                next_reload += RELOAD_SECONDS
            if now > next_kill:
                self._kill()
                next_kill += KILL_SECONDS
            time.sleep(SAMPLE_SECONDS)

    def _reload(self) -> None:
        done = self.ledger.counts["reloads"]
        limit = '"many"' if done % 3 == 2 else str(60_000 + done % 2)
        (self.gateway.folder / "polyglot.toml").write_text(RULES.format(limit=limit))
        self.gateway.process.send_signal(signal.SIGHUP)
        self.ledger.count("reloads")

    def _kill(self) -> None:
        others = [pid for pid in self.gateway.workers() if pid not in self.watched.values()]
        for pid in others:
            os.kill(pid, signal.SIGKILL)
            self.ledger.count("workers killed")


def _middle(samples: list[Sample]) -> Sample:
    return Sample(*(statistics.median(values) for values in zip(*samples, strict=True)))


def run(folder: Path, seconds: float, server: str = "native") -> Report:
    """Run a gateway in this folder under load for so many seconds."""
    (folder / "polyglot.toml").write_text(RULES.format(limit=60_000))
    small = {"MAX_CHANNELS": "100", "HISTORY_SIZE": "200", "HISTORY_BYTES": str(4 << 20), "SERVER": server}
    small["IDEMPOTENCY_KEYS"] = "1000000"  # each event has one, and none may be refused
    gateway = Gateway(folder, free_port(), ("--workers", "2"), {**small, "LOG_LEVEL": "error"})
    try:
        gateway.wait_until_ready()
        wait_until(lambda: len(gateway.workers()) == 2, "two workers")
        report = Soak(gateway, seconds, sockets=server == "native").run()
        if gateway.stop() != 0:
            report.failures.append("the gateway did not end as it should")
        report.failures.extend(_unexpected(gateway.log.read_text()))
        return report
    finally:
        gateway.kill_everything()


def _unexpected(log: str) -> list[str]:
    return [line for line in log.splitlines() if "Traceback" in line][:5]


def main() -> None:
    """Run it, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--server", choices=("native", "wsgi"), default="native")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run(Path(folder), options.minutes * 60, options.server)
    print(report)
    if report.failures or report.silent or report.grown():
        raise SystemExit("\n".join(["not well:", *report.grown()]))


if __name__ == "__main__":
    main()
