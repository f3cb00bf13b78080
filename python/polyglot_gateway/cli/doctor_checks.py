"""What `polyglot doctor` looks at; each check is independent of the others' outcome."""

from __future__ import annotations

import resource
import shutil
import socket
import sys
import tempfile
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from polyglot_gateway.errors import GatewayError

if TYPE_CHECKING:
    from polyglot_gateway.server.address import Address
    from polyglot_gateway.settings import Settings

FILES_WANTED = 4096
"""Open files: one for each connection, and a few dozen for each worker."""

READY_SECONDS = 3
"""How long a gateway may take to say whether it is ready."""


class Finding(NamedTuple):
    """What one check found."""

    check: str
    level: Literal["ok", "warn", "fail"]
    found: str
    mend: str = ""


def examine() -> list[Finding]:
    """Make all checks, those of the settings only when they can be read."""
    findings = [check_python(), check_core(), check_open_files()]
    settings, finding = check_settings()
    findings.append(finding)
    if settings is not None:
        findings += [check_data_dir(settings), check_address(settings), check_redis(settings)]
    return findings


def check_python() -> Finding:
    """Python is new enough."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= (3, 11):  # noqa: UP036  a source tree can be run by any Python
        return Finding("python", "ok", found)
    return Finding("python", "fail", found, "install Python 3.11 or later and run ./start.sh again")


def check_core() -> Finding:
    """The compiled core can be loaded."""
    try:
        from polyglot_gateway import _core
    except ImportError as error:
        return Finding("core", "fail", str(error), "build it: ./start.sh, or pip install -e .")
    return Finding("core", "ok", f"version {_core.__version__}")


def check_open_files() -> Finding:
    """The process may open enough files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= FILES_WANTED:
        return Finding("open files", "ok", f"limit {limit}")
    return Finding(
        "open files", "warn", f"limit {limit}: so many connections a worker, at most", f"ulimit -n {FILES_WANTED}"
    )


def check_settings() -> tuple[Settings | None, Finding]:
    """Environment, .env and polyglot.toml are right."""
    try:
        from polyglot_gateway.settings import load_settings

        settings = load_settings()
    except GatewayError as error:
        return None, Finding("settings", "fail", error.message, "docs/configuration.md says what is allowed")
    except ImportError as error:
        return None, Finding("settings", "fail", str(error), "mend the core first")
    return settings, Finding("settings", "ok", f"valid, for {settings.polyglot_env}")


def check_data_dir(settings: Settings) -> Finding:
    """The data folder can be written, and its history file be opened with these settings, or has room for one."""
    folder = Path(settings.data_dir)
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        return Finding(
            "data folder", "fail", f"{nearest} is not a folder", "choose another with --data-dir or DATA_DIR"
        )
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        return Finding("data folder", "fail", f"{nearest}: {error.strerror}", "make it writable, or choose another")
    history = folder / "history.pgs"
    if history.exists():
        return _check_history(settings, history)
    free = shutil.disk_usage(nearest).free
    if free < settings.history_bytes:
        return Finding(
            "data folder",
            "fail",
            f"{_mebibytes(free)} free at {nearest}; the history needs more than {_mebibytes(settings.history_bytes)}",
            "make room, or lower HISTORY_BYTES",
        )
    return Finding("data folder", "ok", f"{folder} can be written, {_mebibytes(free)} free")


def _check_history(settings: Settings, history: Path) -> Finding:
    from polyglot_gateway.app import open_engine

    try:
        open_engine(settings.without_redis()).close()
    except GatewayError as error:
        return Finding("data folder", "fail", error.message, "docs/errors.md says how to mend it")
    return Finding("data folder", "ok", f"{history} takes {_mebibytes(history.stat().st_blocks * 512)}")


def check_address(settings: Settings) -> Finding:
    """The address is free, or a gateway answers there."""
    from polyglot_gateway.server.address import parse_bind, why_not_free

    bind = settings.bind
    reason = why_not_free(bind)
    if reason is None:
        return Finding("address", "ok", f"{bind} is free")
    status = _status_of_ready(parse_bind(bind))
    if status == 200:
        return Finding("address", "ok", f"a gateway answers at {bind}")
    if status is not None:
        return Finding("address", "warn", f"{bind} answers /ready with {status}", "see the reasons it gives there")
    return Finding("address", "fail", f"{bind}: {reason}", "stop what listens there, or choose another with --bind")


def check_redis(settings: Settings) -> Finding:
    """The Redis that is to keep the events answers, and is new enough."""
    if not settings.redis():
        return Finding("redis", "ok", "not used: neither redis_url nor redis_host is set")
    from polyglot_gateway.engine.redis_link import OLDEST_REDIS, RedisLink

    link = RedisLink(settings.redis())
    try:
        version = link.version()
        forgets = link.forgets()
    except GatewayError as error:
        return Finding("redis", "fail", error.message, "start Redis, or mend REDIS_URL or REDIS_HOST")
    finally:
        link.close()
    if version < OLDEST_REDIS:
        return Finding("redis", "fail", f"version {'.'.join(map(str, version))}", "use Redis 7.0 or later")
    if forgets:
        mend = "in redis.conf: maxmemory-policy noeviction"
        return Finding("redis", "warn", f"maxmemory-policy {forgets}: it may forget idempotency keys early", mend)
    return Finding("redis", "ok", f"version {'.'.join(map(str, version))}")


def _status_of_ready(address: Address) -> int | None:
    connection = HTTPConnection("localhost")
    try:
        if isinstance(address, str):
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(READY_SECONDS)
            connection.sock.connect(address)
        else:
            connection.sock = socket.create_connection(address, timeout=READY_SECONDS)
        connection.request("GET", "/ready")
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
