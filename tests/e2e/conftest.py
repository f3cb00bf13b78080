"""Real gateways for tests: started, made ready, and killed at the end."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.production import ProductionGateway
from tests.serving import Gateway, free_port, wait_until


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway without waiting for it; what it started is killed at the end of the test."""
    spawned: list[Gateway] = []

    def start(*arguments: str, port: int | None = None, **environment: str) -> Gateway:
        spawned.append(Gateway(tmp_path, port or free_port(), arguments, environment))
        return spawned[-1]

    yield start
    for gateway in spawned:
        gateway.kill_everything()


@pytest.fixture
def start(spawn: Callable[..., Gateway]) -> Callable[..., Gateway]:
    """Starts a gateway with two workers, and returns it once it is ready."""
    return lambda *arguments, **kwargs: spawn("--workers", "2", *arguments, **kwargs).wait_until_ready()


@pytest.fixture
def gateway(start: Callable[..., Gateway]) -> Gateway:
    return start()


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """For tests that only talk to it, each in a channel of its own."""
    gateway = Gateway(tmp_path_factory.mktemp("shared"), free_port(), ("--workers", "2"), {})
    yield gateway.wait_until_ready()
    gateway.kill_everything()


@pytest.fixture(scope="session")
def production_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionGateway]:
    """The same with POLYGLOT_ENV=prod; see its module for the keys, the rules and the tokens."""
    gateway = ProductionGateway(tmp_path_factory.mktemp("production"), "--workers", "2")
    yield gateway.wait_until_ready()
    gateway.kill_everything()


@pytest.fixture
def room() -> str:
    """A channel that nobody else uses."""
    return f"room:{uuid.uuid4()}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Not for a whole session: while it is there, asyncio has a loop in this thread.
    from tests.e2e.console_page import chromium  # noqa: PLC0415

    with chromium() as browser:
        yield browser


@pytest.fixture
def open_console(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a tab with the console of a gateway; in the end nothing may have gone wrong in it."""
    from tests.e2e.console_page import ConsolePage  # noqa: PLC0415

    tabs: list[ConsolePage] = []

    def open_(gateway: Gateway, **options: Any) -> ConsolePage:
        tabs.append(ConsolePage(browser, gateway, **options))
        return tabs[-1]

    yield open_
    faults = [fault for tab in tabs for fault in tab.faults]
    for tab in tabs:
        tab.close()
    assert faults == []


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable[[Callable[[], Any], str], Any]:
    return wait_until
