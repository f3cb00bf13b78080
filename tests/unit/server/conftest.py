"""What the tests of the native server's Python side share."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged during the test."""
    with structlog.testing.capture_logs() as entries:
        yield entries
