"""What the workers of a gateway are seen to do from outside: memory, descriptors, and who serves which connection."""

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.raw_http import RawConnection
from tests.serving import Gateway, wait_until

MEBIBYTE = 1 << 20
_LISTENING = "0A"  # as /proc/net/tcp writes it


def own_memory(pid: int) -> int:
    """Bytes of resident memory that are the process's own; the mapped history, which all share, is none of them."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def connections(pid: int) -> int:
    """How many TCP connections it holds, among them those that it is about to close."""
    links, found = _links(pid), 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            state, inode = line.split()[3], line.split()[9]
            found += state != _LISTENING and f"socket:[{inode}]" in links
    return found


def wait_for_rest(pid: int) -> None:
    """Return when it has closed the connections of all who are gone, and its descriptors are those it keeps."""
    wait_until(lambda: connections(pid) == 0, "the worker to come to rest")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wake_ups(pid: int) -> int:
    """How often the thread that serves has slept until now."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text() == "polyglot-server\n":
            return int((task / "status").read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    raise AssertionError("no thread serves")


def is_serving(pid: int) -> bool:
    """Whether the worker has begun to take connections: before that it has no second thread."""
    with contextlib.suppress(FileNotFoundError):
        return any(name.read_text() == "polyglot-server\n" for name in Path(f"/proc/{pid}/task").glob("*/comm"))
    return False


def serving_workers(gateway: Gateway, count: int = 2) -> list[int]:
    """The pids of the workers, once there are so many that serve."""

    def found() -> list[int] | None:
        workers = gateway.workers()
        return workers if len(workers) == count and all(map(is_serving, workers)) else None

    return wait_until(found, f"{count} workers that serve")


def worker_of(gateway: Gateway, connection: RawConnection) -> int | None:
    """The pid of the worker that has the other end of a connection over IPv4; None when it was not taken yet."""
    ends = f":{gateway.port:04X} ", f":{connection.socket.getsockname()[1]:04X} "
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *fields = line.split()
        if local.endswith(ends[0].strip()) and remote.endswith(ends[1].strip()):
            link = f"socket:[{fields[6]}]"
            return next((pid for pid in gateway.workers() if link in _links(pid)), None)
    return None


@contextlib.contextmanager
def only(gateway: Gateway, worker: int) -> Iterator[None]:
    """Every new connection within goes to this worker, because the others are stopped.

    REQUIRES: the gateway is at rest; a worker that is stopped while it appends would hold up all.
    """
    others = [pid for pid in gateway.workers() if pid != worker]
    try:
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda pid=pid: _is_stopped(pid), "a worker to stop")
        yield
    finally:
        for pid in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    """As many open files as the machine allows, for this process and those that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _is_stopped(pid: int) -> bool:
    return all("\nState:\tT" in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())


def _links(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(entry))
    return found
