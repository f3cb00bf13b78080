"""What events say stays text, and the page's policy is in force."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from tests.e2e.console_page import ConsolePage
from tests.members import enter
from tests.serving import Gateway
from tests.websocket import WebSocket

IMAGE = '<img src=x onerror="window.broken = 1">'
SCRIPT = "<script>window.broken = 1</script>"
MADE = "#tail img, #tail script, #history img, #history script, #members img, #members script"


@pytest.mark.parametrize("bypass_csp", [False, True], ids=["with the policy", "without it"])
def test_events_are_never_html(
    open_console: Callable[..., ConsolePage], shared_gateway: Gateway, room: str, bypass_csp: bool
) -> None:
    """The policy is the second line: without it the page has to be as safe."""
    tab = open_console(shared_gateway, bypass_csp=bypass_csp).sign_in().choose(room)
    tab.publish(json.dumps({"text": IMAGE, SCRIPT: f"</pre>{SCRIPT}"}), IMAGE)
    expect(tab.at("#tail .type")).to_have_text(IMAGE)
    expect(tab.at("#tail .data")).to_contain_text(SCRIPT)
    tab.at("#tail summary").click()
    expect(tab.at("#tail pre")).to_contain_text(SCRIPT)
    tab.show("History")
    expect(tab.at("#history .type")).to_have_text(IMAGE)
    tab.at("#history summary").click()
    with WebSocket(shared_gateway.port) as socket:
        enter(socket, room, SCRIPT, text=IMAGE)
        tab.show("Presence")
        expect(tab.at("#members .type")).to_have_text(SCRIPT)
        tab.at("#members summary").click()
        expect(tab.at(MADE)).to_have_count(0)
    assert tab.page.evaluate("() => window.broken") is None


def test_an_error_is_never_html(open_console: Callable[..., ConsolePage], shared_gateway: Gateway) -> None:
    tab = open_console(shared_gateway, bypass_csp=True)
    problem = {"code": IMAGE, "error": IMAGE, "detail": SCRIPT}
    tab.page.route("**/channels?*", lambda route: route.fulfill(status=400, body=json.dumps(problem)))
    tab.sign_in()
    expect(tab.at("#sign-in-answer")).to_have_text(f"{IMAGE} {SCRIPT}")
    assert tab.page.evaluate("() => window.broken") is None


@pytest.mark.parametrize(
    "attempt",
    [
        "document.body.innerHTML = '<b></b>'",
        "document.createElement('script').textContent = '1'",
        "await fetch('http://localhost:1/')",
    ],
)
def test_the_policy_is_in_force(
    open_console: Callable[..., ConsolePage], shared_gateway: Gateway, attempt: str
) -> None:
    tab = open_console(shared_gateway)
    outcome = tab.page.evaluate(f"async () => {{ try {{ {attempt}; return 'done' }} catch {{ return 'refused' }} }}")
    assert outcome == "refused"
    assert tab.faults
    tab.faults.clear()
