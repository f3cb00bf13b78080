"""What `polyglot doctor` looks at; each check is independent of the others' outcome."""

from __future__ import annotations

import resource
import shutil
import socket
import sys
import tempfile
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from polyglot_gateway.errors import GatewayError

if TYPE_CHECKING:
    from polyglot_gateway.processor.address import Address as ProcessorAddress
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
        findings += [
            check_data_dir(settings),
            check_address(settings),
            check_redis(settings),
            check_processor(settings),
        ]
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
    from polyglot_gateway._core import Gateway

    try:
        notices = Gateway.inspect(
            str(settings.data_dir),
            history_size=settings.history_size,
            history_bytes=settings.history_bytes,
            max_channels=settings.max_channels,
            idempotency_keys=settings.idempotency_keys,
        )
    except GatewayError as error:
        return Finding("data folder", "fail", error.message, "docs/errors.md says how to mend it")
    if notices:
        return Finding("data folder", "warn", " ".join(notices), "docs/upgrade.md says what becomes of a history")
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


def check_processor(settings: Settings) -> Finding:
    """The function that is to be called can be imported, or each instance of the processor answers."""
    from polyglot_gateway.app import open_processor

    try:
        processor = open_processor(settings)
    except GatewayError as error:
        return Finding("processor", "fail", error.message, "mend the function, or what it needs")
    if processor is None:
        return Finding("processor", "ok", "not used: neither processor_url nor processor_function is set")
    processor.close()
    if settings.processor == "embedded":
        return Finding("processor", "ok", f"{settings.processor_function} is called")
    answering, troubles = 0, []
    for address in settings.processor_addresses():
        told = [_why_not_over_http(address)]
        if settings.processor == "grpc":
            told.append(_why_not_over_grpc(address, settings.processor_grpc_port))
        answering += None in told
        troubles += [trouble for trouble in told if trouble]
    if not troubles:
        return Finding("processor", "ok", f"answers at {' and '.join(a.name for a in settings.processor_addresses())}")
    level: Literal["warn", "fail"] = "warn" if answering == len(settings.processor_addresses()) else "fail"
    return Finding("processor", level, "; ".join(troubles), "start `polyglot processor` there, or mend PROCESSOR_URL")


def _why_not_over_http(address: ProcessorAddress) -> str | None:
    connect = HTTPSConnection if address.scheme == "https" else HTTPConnection
    connection = connect(address.host, address.port, timeout=READY_SECONDS)
    try:
        headers = {"Authorization": address.authorization} if address.authorization else {}
        connection.request("GET", f"{address.path}/health", headers=headers)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"{address.name}: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"{address.name} answers /health with {status}"


def _why_not_over_grpc(address: ProcessorAddress, port: int) -> str | None:
    try:
        socket.create_connection((address.host, port), timeout=READY_SECONDS).close()
    except OSError as error:
        return f"grpc://{address.with_port(port)}: {error}"
    return None


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
