"""What the console says when something is wrong: the gateway away, events gone, the processor down."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Route, expect
from tests.e2e.console_page import ConsolePage
from tests.processor_service import ProcessorService
from tests.serving import Gateway, wait_until


def test_a_tail_goes_on_without_a_hole_when_the_gateway_comes_back(
    start: Callable[..., Gateway], open_console: Callable[..., ConsolePage], room: str
) -> None:
    """What it missed was published by another instance, while its own was down."""
    gateway = start()
    tab = open_console(gateway).sign_in().choose(room)
    for number in range(3):
        gateway.publish(room, number)
    expect(tab.at("#tail .offset")).to_have_count(3)
    gateway.kill_everything()
    expect(tab.at("#tail-state")).to_have_text("Connecting again…")
    expect(tab.at("#state")).to_have_text("does not answer")
    other = start("--workers", "1")
    for number in range(3, 6):
        other.publish(room, number)
    again = start(port=gateway.port)
    expect(tab.at("#tail-state")).to_have_text("Live")
    again.publish(room, 6)
    expect(tab.at("#tail .offset").first).to_have_text("#7")
    assert tab.offsets("#tail") == [7, 6, 5, 4, 3, 2, 1]
    expect(
        tab.at("#tail .remark").filter(has_text="Connected again after event 3: 3 missed events follow.")
    ).to_have_count(1)
    expect(tab.at("#state")).to_have_text("ready")


def test_a_tail_tells_what_is_gone(
    start: Callable[..., Gateway], open_console: Callable[..., ConsolePage], room: str
) -> None:
    gateway = start("--history-size", "3")
    tab = open_console(gateway).sign_in().choose(room)
    gateway.publish(room, 0)
    expect(tab.at("#tail .offset")).to_have_count(1)
    gateway.kill_everything()
    expect(tab.at("#tail-state")).to_have_text("Connecting again…")
    other = start("--history-size", "3")
    for number in range(1, 10):
        other.publish(room, number)
    start("--history-size", "3", port=gateway.port)
    expect(tab.at("#tail .gap")).to_have_text("Events 2 to 7 will not come: newer events took their place.")
    expect(tab.at("#tail .offset").first).to_have_text("#10")
    assert tab.offsets("#tail") == [10, 9, 8, 1]


def test_an_event_whose_answer_was_lost_is_not_published_twice(
    start: Callable[..., Gateway], open_console: Callable[..., ConsolePage], room: str
) -> None:
    gateway = start()
    tab = open_console(gateway).sign_in().choose(room)

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    tab.page.route("**/publish", lose_the_answer)
    tab.publish('"once"')
    expect(tab.at("#publish-answer")).to_contain_text("Whether it was kept is not known")
    tab.page.unroute("**/publish")
    tab.publish('"once"')
    expect(tab.at("#publish-answer")).to_contain_text("Published as event 1")
    tab.publish('"once"')
    expect(tab.at("#publish-answer")).to_contain_text("Published as event 2")
    assert gateway.history(room)["count"] == 2


def test_a_gateway_without_metrics_is_no_reason_to_show_nothing(
    start: Callable[..., Gateway], open_console: Callable[..., ConsolePage], room: str
) -> None:
    gateway = start()
    tab = open_console(gateway)
    tab.page.route("**/metrics", lambda route: route.fulfill(status=403, body="<html>denied</html>"))
    tab.sign_in().choose(room)
    expect(tab.at("#traffic-answer")).to_contain_text("The answer was 403, without a reason")
    tab.page.unroute("**/metrics")
    tab.page.route("**/metrics", lambda route: route.fulfill(body="# nothing\npolyglot_build_info 1.0\n"))
    expect(tab.at("#traffic-answer")).to_be_empty()
    expect(tab.at("#rates-caption .reading")).to_have_text("published \N{EN DASH}")


def test_deliveries_are_shown_where_they_are_counted(
    start: Callable[..., Gateway], open_console: Callable[..., ConsolePage]
) -> None:
    tab = open_console(start())
    scrapes = itertools.count(1)

    def scrape(route: Route) -> None:
        number = next(scrapes)
        lag = "polyglot_delivery_lag_seconds_bucket"
        lines = [
            f"polyglot_deliveries_total {1000 * number}",
            f'{lag}{{le="0.002"}} {number}',
            f'{lag}{{le="+Inf"}} {number}',
        ]
        route.fulfill(body="\n".join(lines))

    tab.page.route("**/metrics", scrape)
    tab.sign_in()
    expect(tab.at("#rates-caption .reading").filter(has_text="delivered")).to_contain_text(re.compile("[1-9]"))
    expect(tab.at("#latency-caption .reading").filter(has_text="delivery p99")).to_contain_text("1.98 ms")


def test_without_sockets_all_else_works(
    start: Callable[..., Gateway], open_console: Callable[..., ConsolePage], room: str
) -> None:
    gateway = start("--server", "wsgi")
    gateway.publish(room, "Hello")
    tab = open_console(gateway).sign_in()
    tab.at("#channel-rows button").click()
    expect(tab.at("#tail .remark")).to_contain_text("A gateway with SERVER=wsgi has no sockets")
    tab.publish('"from the page"')
    expect(tab.at("#publish-answer")).to_contain_text("Published as event 2")
    tab.show("History")
    expect(tab.at("#history .data")).to_have_text(['"from the page"', '"Hello"'])


def test_the_breaker_opens_before_a_processor_that_is_down(
    start: Callable[..., Gateway], open_console: Callable[..., ConsolePage], tmp_path: Path, room: str
) -> None:
    processor = ProcessorService(tmp_path)
    try:
        processor.wait_until_ready()
        gateway = start("--workers", "1", PROCESSOR_URL=processor.url)  # each worker has breakers of its own
        tab = open_console(gateway).sign_in().choose(room)
        expect(tab.at("#breaker-state")).to_have_text("closed")
        expect(tab.at("#breakers")).to_contain_text(processor.url)
        tab.publish('"Hello"')
        expect(tab.at("#publish-answer")).to_contain_text("Published as event 1")
        processor.kill_everything()
        event = json.dumps({"type": "t", "data": 1}).encode()

        def is_open() -> bool:
            gateway.request("POST", f"/apps/demo/channels/{room}/publish", event)
            state = gateway.request("GET", "/api/debug/circuit-breaker").body
            return bool(json.loads(state)["state"] == "open")

        wait_until(is_open, "the breaker to open")
        expect(tab.at("#breaker-state")).to_have_text("open")
        expect(tab.at("#breakers .pill")).to_have_text("open")
        expect(tab.at("#breakers")).to_contain_text("failures in a row · next try in")
        expect(tab.at("#state")).to_have_text("not ready")
        expect(tab.at("#reasons")).to_contain_text("processor")
        tab.publish('"Hello"')
        expect(tab.at("#publish-answer")).to_contain_text("503 processor_unavailable")
    finally:
        processor.kill_everything()
