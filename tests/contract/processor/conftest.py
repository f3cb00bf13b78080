"""The processors that the contract is asked of.

Every test here is about `polyglot_gateway.processor.base.Processor` alone; those of `test_elsewhere.py` about one in
another process.
"""

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.processor.elsewhere import open_elsewhere, running_service
from tests.contract.processor.function import obey
from tests.processor_service import ProcessorService

from polyglot_gateway.processor.base import Event, Processor
from polyglot_gateway.processor.embedded import EmbeddedProcessor


@pytest.fixture(scope="session")
def service() -> Iterator[ProcessorService]:
    """One that all tests ask which do not harm it."""
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        yield service


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[ProcessorService]:
    """One that the test may harm."""
    with running_service(tmp_path) as service:
        yield service


@pytest.fixture(params=["embedded", "http", "grpc"])
def processor(request: pytest.FixtureRequest) -> Iterator[Processor]:
    """Each kind."""
    if request.param == "embedded":
        made = EmbeddedProcessor(obey)
    else:
        made = open_elsewhere(request.param, request.getfixturevalue("service"), timeout=20)
    with contextlib.closing(made):
        yield made


@pytest.fixture
def event() -> Callable[..., Event]:
    """Makes events, each with an id of its own."""
    numbers = itertools.count()

    def make(what: str = "accept", data: bytes = b"{}", **more: str) -> Event:
        return Event(f"evt_{next(numbers)}", "demo", "room:1", what, data, "2026-01-01T00:00:00.000000Z", **more)

    return make
