"""Figures that several processes keep together."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt


class SharedRecord:
    """One NumPy record in memory that is shared by its maker and the processes that are forked from it.

    It outlives the processes that write into it. One that is killed while it holds the lock loses the lock, and leaves
    what it was writing half done: fit for figures, in which then something is missing.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        """All zeros."""
        self._file = os.memfd_create("polyglot-processor")
        os.ftruncate(self._file, dtype.itemsize)
        self._records: npt.NDArray[Any] = np.frombuffer(mmap.mmap(self._file, dtype.itemsize), dtype)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def locked(self) -> Iterator[Any]:
        """The record; no other thread or process has it meanwhile."""
        # The kernel's lock is between processes, and is let go when one dies; within one process it holds nobody up.
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield self._records[0]
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def copy(self) -> Any:
        """The record as it is now, to read at leisure."""
        with self.locked():
            return self._records.copy()[0]
