"""The address that a server listens on: `host:port`, `[ipv6]:port` or `unix:path`, as the setting `bind` has it."""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import closing

Address = tuple[str, int] | str
"""(host, port), or the path of a Unix socket."""

PATIENCE_SECONDS = 2.0
"""Workers whose master was killed keep the address until they notice, within a second."""


def parse_bind(bind: str) -> Address:
    """Return the address that `bind` names. REQUIRES: the settings accepted it."""
    if bind.startswith("unix:"):
        return bind.removeprefix("unix:")
    host, _, port = bind.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def why_not_free(bind: str, patience: float = 0.0) -> str | None:
    """Say in a few words why nothing can listen on `bind` now; None when it is free.

    Args:
        bind: As in parse_bind.
        patience: Seconds to go on trying while the address is in use.
    """
    address = parse_bind(bind)
    deadline = time.monotonic() + patience
    try:
        while _socket_answers(address) if isinstance(address, str) else _port_is_held(*address):
            if time.monotonic() >= deadline:
                return "it is in use"
            time.sleep(0.1)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _port_is_held(host: str, port: int) -> bool:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def _socket_answers(path: str) -> bool:
    folder = os.path.dirname(path) or "."
    if not os.access(folder, os.W_OK):
        raise OSError(errno.EACCES, f"the folder {folder} is missing or not writable")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        # A socket that nobody answers was left behind, and gunicorn replaces it.
        return probe.connect_ex(path) == 0
