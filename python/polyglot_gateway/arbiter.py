"""gunicorn's master process, for the gateway and for the processor."""

from __future__ import annotations

import contextlib

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer


class HaltingArbiter(Arbiter):
    """Ends with the status of the first worker that could not start, also when others fail while it stops.

    gunicorn's own is then ended by the second one's failure, with a traceback and another status.
    """

    def stop(self, graceful: bool = True) -> None:
        """See gunicorn."""
        stopped = False
        while not stopped:
            with contextlib.suppress(HaltServer):  # each time it is one worker less
                super().stop(graceful)
                stopped = True
