"""The console as people use it: sign in, look at channels, publish, follow, browse."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests import npm
from tests.e2e.console_page import ConsolePage
from tests.members import enter
from tests.production import ProductionGateway, token
from tests.serving import Gateway, wait_until
from tests.websocket import WebSocket

AXE = Path(__file__).with_name("axe")


@pytest.fixture
def tab(open_console: Callable[..., ConsolePage], shared_gateway: Gateway) -> ConsolePage:
    """A tab that is signed in."""
    return open_console(shared_gateway).sign_in()


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionGateway]:
    gateway = ProductionGateway(tmp_path_factory.mktemp("production"), "--workers", "2", "--console")
    yield gateway.wait_until_ready()
    gateway.kill_everything()


def test_the_key_is_kept_by_the_tab_and_stands_in_no_url(
    open_console: Callable[..., ConsolePage], shared_gateway: Gateway, room: str
) -> None:
    tab = open_console(shared_gateway).sign_in().choose(room)
    tab.page.reload()
    expect(tab.at("#app")).to_have_text("demo")
    key = shared_gateway.key_of("demo")
    assert any("/socket/websocket" in url for url in tab.urls)
    assert [url for url in tab.urls if key in url] == []
    kept = tab.context.storage_state()
    assert (kept["cookies"], kept["origins"]) == ([], [])
    assert key in tab.page.evaluate("() => JSON.stringify(Object.values(sessionStorage))")
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert tab.page.evaluate("() => sessionStorage.length") == 0


def test_a_key_that_no_socket_can_have_is_told(
    open_console: Callable[..., ConsolePage], shared_gateway: Gateway, room: str
) -> None:
    tab = open_console(shared_gateway).sign_in(key="ab?")
    tab.page.get_by_label("Filter channels").fill(room)
    tab.page.get_by_role("button", name="Open").click()
    expect(tab.at("#tail-state")).to_contain_text("a browser cannot send this key")


def test_in_development_a_key_is_offered(open_console: Callable[..., ConsolePage], shared_gateway: Gateway) -> None:
    tab = open_console(shared_gateway)
    tab.page.get_by_role("button", name="Use the development key of demo-app").click()
    expect(tab.at("#app")).to_have_text("demo-app")


def test_in_production_no_key_is_offered_and_a_wrong_one_refused(
    open_console: Callable[..., ConsolePage], production: ProductionGateway
) -> None:
    tab = open_console(production).sign_in(key="wrong")
    expect(tab.at("#sign-in-answer")).to_contain_text("key")
    expect(tab.at("#development")).to_be_hidden()
    tab.sign_in("demo", "the key of…")
    expect(tab.at("#sign-in-answer")).to_contain_text("ASCII")
    expect(tab.at("#inside")).to_be_hidden()


def test_a_token_opens_what_it_allows(
    open_console: Callable[..., ConsolePage], production: ProductionGateway, room: str
) -> None:
    chat = f"chat:{room}"
    production.publish(chat, "Hello")
    limited = token({"chat:*": ["subscribe", "history"]}, sub="alice")
    tab = open_console(production).sign_in("demo", limited)
    expect(tab.at("#channels-answer")).to_contain_text("does not list channels")
    tab.choose(chat).show("History")
    expect(tab.at("#history .data")).to_have_text('"Hello"')
    tab.publish("1")
    expect(tab.at("#publish-answer")).to_contain_text("Not published")
    expect(tab.at("#publish-answer")).to_contain_text("403 forbidden")
    tab.page.get_by_label("Filter channels").fill("other:1")
    tab.page.get_by_role("button", name="Open").click()
    expect(tab.at("#tail-state")).to_contain_text("Not followed")


def test_what_the_form_publishes_is_in_the_tail_and_in_history(
    tab: ConsolePage, shared_gateway: Gateway, room: str
) -> None:
    tab.choose(room)
    tab.publish('{"text": "Hällo", "price": 1.10, "large": 12345678901234567890}', "greeting")
    expect(tab.at("#publish-answer")).to_contain_text(f"Published as event 1 of {room}")
    shown = '{"text":"Hällo","price":1.10,"large":12345678901234567890}'
    expect(tab.at("#tail .data")).to_have_text(shown)
    tab.at("#tail summary").click()
    expect(tab.at("#tail pre")).to_contain_text('"large": 12345678901234567890')
    tab.show("History")
    expect(tab.at("#history .data")).to_have_text(shown)
    expect(tab.at("#history .type")).to_have_text("greeting")
    (event,) = shared_gateway.history(room)["events"]
    assert event["type"] == "greeting"


def test_what_is_no_json_is_not_sent(tab: ConsolePage, shared_gateway: Gateway, room: str) -> None:
    tab.choose(room)
    tab.publish('{"text": ')
    expect(tab.at("#publish-check")).to_contain_text("This is no JSON")
    expect(tab.page.get_by_label("Data, any JSON")).to_be_focused()
    tab.publish('1,"type":2')
    expect(tab.at("#publish-check")).to_contain_text("This is no JSON")
    assert shared_gateway.history(room)["count"] == 0


def test_a_refused_event_is_said_in_words(tab: ConsolePage, room: str) -> None:
    tab.choose(room)
    tab.page.get_by_label("Channel", exact=True).fill("no good")
    tab.publish("1")
    expect(tab.at("#publish-answer")).to_contain_text("Not published")
    expect(tab.at("#publish-answer")).to_contain_text("400 invalid_channel")


def test_channels_page_by_page_and_filtered(open_console: Callable[..., ConsolePage], shared_gateway: Gateway) -> None:
    for number in range(60):
        shared_gateway.publish(f"list:{number:02}", number, app="lister")
    shared_gateway.publish("list:07", "again", app="lister")
    tab = open_console(shared_gateway).sign_in("lister")
    rows = tab.at("#channel-rows tr")
    expect(rows).to_have_count(50)
    expect(rows.nth(7)).to_have_text("list:0722")
    tab.page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(10)
    expect(tab.page.get_by_role("button", name="Next")).to_be_disabled()
    tab.page.get_by_role("button", name="Previous").click()
    expect(rows).to_have_count(50)
    tab.page.get_by_label("Filter channels").fill("5")
    expect(rows).to_have_count(15)
    tab.page.get_by_label("Filter channels").fill("LIST:55")
    expect(rows).to_have_count(1)
    rows.get_by_role("button").click()
    expect(tab.page.get_by_role("heading", name="list:55")).to_be_visible()


def test_history_goes_back_and_forth_and_says_what_is_gone(
    start: Callable[..., Gateway], open_console: Callable[..., ConsolePage], room: str
) -> None:
    gateway = start("--history-size", "120")
    for number in range(110):
        gateway.publish(room, number)
    tab = open_console(gateway).sign_in().choose(room).show("History")
    newer, older = tab.page.get_by_role("button", name="Newer"), tab.page.get_by_role("button", name="Older")
    expect(tab.at("#history-place")).to_contain_text("Events 61 to 110 · epoch")
    assert tab.offsets("#history") == list(range(110, 60, -1))
    older.click()
    expect(tab.at("#history-place")).to_contain_text("Events 11 to 60")
    older.click()
    expect(tab.at("#history-place")).to_contain_text("Events 1 to 10")
    expect(older).to_be_disabled()
    newer.click()
    expect(tab.at("#history-place")).to_contain_text("Events 11 to 60")
    assert tab.offsets("#history") == list(range(60, 10, -1))
    for number in range(110, 150):
        gateway.publish(room, number)
    older.click()
    expect(tab.at("#history-gap")).to_have_text("Events 1 to 10 are no longer kept.")
    tab.page.get_by_role("button", name="Newest").click()
    expect(tab.at("#history-place")).to_contain_text("Events 101 to 150")
    gateway.request("DELETE", f"/apps/demo/channels/{room}/history")
    gateway.publish(room, "anew")
    newer.click()
    expect(tab.at("#history-gap")).to_contain_text("past was replaced")
    assert tab.offsets("#history") == [1]


def test_members_come_and_go(tab: ConsolePage, shared_gateway: Gateway, room: str) -> None:
    tab.choose(room).show("Presence")
    expect(tab.at("#presence-answer")).to_contain_text("Nobody")
    with WebSocket(shared_gateway.port) as socket:
        enter(socket, room, "alice", device="<b>phone</b>")
        expect(tab.at("#members .type")).to_have_text("alice")
        tab.at("#members summary").click()
        expect(tab.at("#members pre")).to_contain_text("<b>phone</b>")
    expect(tab.at("#presence-answer")).to_contain_text("Nobody")


def test_the_plots_move(tab: ConsolePage, shared_gateway: Gateway, room: str) -> None:
    def picture(plot: str) -> str:
        return str(tab.page.evaluate("selector => document.querySelector(selector).toDataURL()", f"{plot} canvas"))

    def reading(label: str) -> str:
        return tab.at("figcaption .reading").filter(has_text=label).locator("b").inner_text()

    expect(tab.at("#rates-caption .reading").first).to_contain_text("published")
    empty = picture("#rates-plot"), picture("#latency-plot")

    def moves() -> bool:
        shared_gateway.publish(room, 1)
        return re.search("[1-9]", reading("published")) and reading("publish p50").endswith("s")

    wait_until(moves, "a rate and a latency")
    wait_until(lambda: picture("#rates-plot") != empty[0] and picture("#latency-plot") != empty[1], "lines")


def test_a_tail_can_be_paused(tab: ConsolePage, shared_gateway: Gateway, room: str) -> None:
    tab.choose(room)
    tab.page.get_by_role("button", name="Pause").click()
    for number in range(310):
        shared_gateway.publish(room, number)
    expect(tab.at("#tail-state")).to_contain_text("Paused: 310 new events wait")
    assert tab.offsets("#tail") == []
    tab.page.get_by_role("button", name="Resume").click()
    expect(tab.at("#tail-state")).to_have_text("Live")
    remarks = tab.at("#tail .remark")
    expect(remarks.first).to_contain_text("310 events came during the pause")
    shared_gateway.publish(room, "after")
    expect(tab.at("#tail .offset").first).to_have_text("#311")
    offsets = tab.offsets("#tail")
    assert offsets == sorted(offsets, reverse=True)


def test_what_did_not_fit_is_told(tab: ConsolePage, shared_gateway: Gateway, room: str) -> None:
    tab.choose(room)
    tab.page.get_by_role("button", name="Pause").click()
    events = [{"channel": room, "type": "t", "data": number} for number in range(500)]
    shared_gateway.request("POST", "/apps/demo/publish", json.dumps({"events": events}).encode())
    expect(tab.at("#tail-state")).to_contain_text("Paused: 500 new events wait")
    tab.page.get_by_role("button", name="Resume").click()
    expect(tab.at("#tail .offset").first).to_have_text("#500")
    offsets = tab.offsets("#tail")
    assert offsets == list(range(500, 500 - len(offsets), -1))
    expect(tab.at("#tail .remark").last).to_contain_text(f"from 1 to {500 - len(offsets)} are not shown")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hinders_whoever_cannot_see_it_well(
    open_console: Callable[..., ConsolePage], shared_gateway: Gateway, room: str, scheme: str
) -> None:
    """No rule of axe-core is broken; it may run only because this test sets the page's policy aside."""
    axe = (npm.install(AXE) / "node_modules" / "axe-core" / "axe.min.js").read_text()
    tab = open_console(shared_gateway, color_scheme=scheme, bypass_csp=True)

    def check() -> None:
        tab.page.evaluate(axe)
        found = tab.page.evaluate("() => axe.run()")
        assert [(broken["id"], broken["nodes"][0]["html"]) for broken in found["violations"]] == []

    check()
    tab.sign_in().choose(room)
    tab.publish('{"text": "Hello"}')
    tab.at("#tail summary").click()
    expect(tab.at("#publish-answer")).to_contain_text("Published")
    expect(tab.at("#rates-caption .reading").first).to_be_visible()
    check()
    tab.publish("{")
    tab.show("History")
    expect(tab.at("#history .offset")).to_have_text("#1")
    check()


def test_it_can_be_used_by_keyboard(tab: ConsolePage, room: str) -> None:
    tab.choose(room)
    tab.page.get_by_role("tab", name="Live").focus()
    tab.page.keyboard.press("ArrowRight")
    expect(tab.page.get_by_role("tab", name="History")).to_be_focused()
    expect(tab.at("#view-history")).to_be_visible()
    expect(tab.at("#view-tail")).to_be_hidden()
    tab.page.keyboard.press("End")
    expect(tab.page.get_by_role("tab", name="Presence", selected=True)).to_be_focused()


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_it_fits(open_console: Callable[..., ConsolePage], shared_gateway: Gateway, room: str, width: int) -> None:
    wide = f"{room}:{'x' * 120}"
    shared_gateway.publish(wide, {"text": "y" * 500})
    tab = open_console(shared_gateway, viewport={"width": width, "height": 800}).sign_in().choose(wide).show("History")
    expect(tab.at("#history .offset")).to_have_text("#1")
    tab.at("#history summary").click()
    assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width
