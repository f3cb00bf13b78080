"""A clock of its own for a gateway, which a test sets while it runs; the clock that only grows stays the machine's."""

import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class Clock:
    """How far the gateway's clock is from the machine's.

    Attributes:
        environment: With which the gateway has to be started.
    """

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        subprocess.run(["cc", "-O1", "-Wall", "-shared", "-fPIC", SOURCE, "-o", library, "-ldl"], check=True)
        self._file = (folder / "clock").open("w+b", buffering=0)
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "TEST_CLOCK": self._file.name}

    def set(self, seconds: float) -> None:
        """From now on it is so far ahead; behind, where negative."""
        self._file.seek(0)
        self._file.write(struct.pack("=q", round(seconds * 1e9)))
