"""The tests mirror the sources: whoever opens a file knows where its tests are."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CPP = ROOT / "cpp"
PYTHON = ROOT / "python" / "polyglot_gateway"

# Python modules with no test file of their own, and why.
TESTED_ELSEWHERE = {
    "cli/client": "used by every command that talks to a gateway; tests/unit/cli/test_publish.py and its neighbours",
    "engine/preparing": "tests/contract/engine, and tests/unit/processor/test_publisher.py",
    "engine/base": "a contract; tests/contract holds engines to it",
    "server/readable": "a few lines of gevent; test_append_loop.py and its neighbours wait by it",
    "server/elsewhere": "joins what is tested by itself; tests/e2e/test_redis.py runs it",
    "processor/base": "a contract; tests/contract holds processors to it",
    "processor/service_master": "forks and listens; tests/e2e/test_processor_service.py runs it",
    "processor/traced": "a span for each batch; tests/e2e/test_spans.py has both protocols",
    "calls": "protocols without logic",
    "processor/judging": "between the processor and the core; tests/contract/server with a processor",
    "arbiter": "forks; tests/e2e/test_processor_settings.py has several workers fail at their start",
    "errors": "classes without logic; tests/contract and tests/unit/gateway/test_problems.py raise them",
    "ops/meters": "a protocol without logic",
    "server/logger": "tests/e2e/test_serving.py reads what it logs",
    "server/application": "forks and listens; tests/e2e/test_serving.py runs it",
    "server/hooks": "signals of real workers; tests/e2e/test_drain.py and test_reload.py send them",
    "server/master": "forks; tests/e2e/test_reload.py",
}
# Headers with no test file of their own, and why.
CPP_TESTED_ELSEWHERE = {
    "core/segment_layout": "sizes and offsets are static_asserts; segment_test.cpp opens files of other layouts",
    "server/append_queue": "between two threads; server_test_elsewhere.cpp",
    "server/clock": "two calls of the system's",
    "server/connection": "sockets; tests/contract/server/test_http_connection.py and test_http_time.py",
    "server/connection_relay": "between two workers; tests/e2e/test_longpoll.py asks the one for sessions of the other",
    "server/handoff": "between two threads; server_test.cpp and every Falcon route in tests/contract/server",
    "server/hot_routes": "answers of the running server; tests/contract/server/test_pairs.py compares their bytes",
    "server/http_session": "a connection's life; tests/contract/server/test_http_malformed.py, _body.py and _time.py",
    "server/identity": "tests/e2e/test_phoenix_access.py",
    "server/http_text": "http_request_test.cpp and tests/unit/server/test_handoff.py have names that are no tokens",
    "server/listener": "accepts; tests/e2e/test_serving.py and test_http_abuse.py",
    "server/longpoll_session": "tests/e2e/test_longpoll.py",
    "server/loop": "the parts of a running server, without logic",
    "server/mirror": "asks Python; server_test_elsewhere.cpp",
    "server/phoenix_socket": "tests/e2e/test_phoenix_protocol.py and its neighbours",
    "server/poller": "the waiting of connections; whatever serves over sockets, server_test.cpp above all",
    "server/owned_submission": "a struct without logic",
    "server/publishing": "the way of events; server_test_processing.cpp and server_test_elsewhere.cpp",
    "server/presence_board": "tests/e2e/test_phoenix_presence.py; what it keeps is presence_test.cpp's",
    "server/server_options": "a struct without logic",
    "server/sse_session": "server_test_subscribers.cpp, tests/e2e/test_slow_readers.py",
    "server/subscriber_connection": "tests/e2e/test_fanout.py and test_slow_readers.py",
    "server/subscription": "one reader's place, which only the hub changes; tested with it",
    "server/websocket_session": "tests/e2e/test_websocket_abuse.py",
}
# Tests of more than one header.
ACROSS_HEADERS = {"crash": "processes killed at random instants"}


def modules_with_logic() -> list[str]:
    paths = sorted(path for path in PYTHON.rglob("*.py") if path.name != "__init__.py")
    return [str(path.relative_to(PYTHON).with_suffix("")) for path in paths]


@pytest.mark.parametrize("module", modules_with_logic())
def test_every_module_has_its_tests(module: str) -> None:
    path = Path(module)
    if not (ROOT / "tests" / "unit" / path.parent / f"test_{path.name}.py").exists():
        assert module in TESTED_ELSEWHERE, f"tests/unit/{path.parent}/test_{path.name}.py is missing"
    else:
        assert module not in TESTED_ELSEWHERE, "it has tests of its own now: take it off the list"


def headers() -> list[str]:
    """Of the core and the server, as part/name."""
    return sorted(f"{part}/{path.stem}" for part in ("core", "server") for path in (CPP / part).glob("*.hpp"))


@pytest.mark.parametrize("header", headers())
def test_every_header_has_its_tests(header: str) -> None:
    name = header.split("/")[1]
    if not (ROOT / "tests" / "cpp" / f"{name}_test.cpp").exists():
        assert header in CPP_TESTED_ELSEWHERE, f"tests/cpp/{name}_test.cpp is missing"
    else:
        assert header not in CPP_TESTED_ELSEWHERE, "it has tests of its own now: take it off the list"


def test_no_test_is_left_behind() -> None:
    cpp = {path.stem.removesuffix("_test") for path in (ROOT / "tests" / "cpp").glob("*_test.cpp")}
    assert cpp - {header.split("/")[1] for header in headers()} == set(ACROSS_HEADERS)
    unit = ROOT / "tests" / "unit"
    for test in unit.rglob("test_*.py"):
        source = PYTHON / test.relative_to(unit).with_name(test.name.removeprefix("test_"))
        assert source.exists() or source.with_suffix("").is_dir(), f"{test} tests no module"


def test_the_lists_name_only_what_exists() -> None:
    assert set(TESTED_ELSEWHERE) <= set(modules_with_logic())
    assert set(CPP_TESTED_ELSEWHERE) <= set(headers())
