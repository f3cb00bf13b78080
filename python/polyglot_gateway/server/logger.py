"""gunicorn's log, handed on to ours."""

from __future__ import annotations

import logging

from gunicorn.config import Config
from gunicorn.glogging import Logger as GunicornLogger


class Logger(GunicornLogger):
    """Writes through the root logger, so that the master's lines have the same form as all others."""

    def setup(self, cfg: Config) -> None:
        """Take none of gunicorn's handlers and levels."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
            log.setLevel(logging.NOTSET)  # the root logger's holds, which may change
