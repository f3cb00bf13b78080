"""A clock of its own for a gateway, which a test sets while the gateway runs; the clock that only grows stays the machine's."""

import glob
from pathlib import Path


def _library() -> str:
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "the tests of clocks need libfaketime: apt-get install faketime"
    return found[0]


class Clock:
    """How far the gateway's clock is from the machine's, in seconds.

    Attributes:
        environment: With which the gateway has to be started.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def set(self, seconds: float) -> None:
        """From now on it is so far ahead; behind, where negative."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+f}")
        fresh.replace(self._file)
