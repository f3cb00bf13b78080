"""The console in a headless Chromium, as a visitor uses it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright
from tests.serving import PATIENCE, Gateway

# Without these a browser looks for hosts that no test needs, and as root it does not start.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What a browser says of answers that are errors, and of a gateway that is away: the page says it, too.
OF_THE_NETWORK = ("Failed to load resource", "WebSocket connection to")

expect.set_options(timeout=PATIENCE * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "the console's tests need a browser: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class ConsolePage:
    """One tab.

    Attributes:
        page: What playwright has of it.
        urls: Every URL that was asked for.
        faults: What the browser complained of: errors of scripts, and breaches of the page's policy.
    """

    def __init__(self, browser: Browser, gateway: Gateway, **options: Any) -> None:
        self.gateway = gateway
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page: Page = self.context.new_page()
        self.urls: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.urls.append(request.url))
        self.page.on("websocket", lambda socket: self.urls.append(socket.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._said)
        self.page.goto(f"http://{gateway.host}:{gateway.port}/console")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(OF_THE_NETWORK):
            self.faults.append(message.text)

    def at(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def sign_in(self, app: str = "demo", key: str | None = None) -> "ConsolePage":
        self.page.get_by_label("App id").fill(app)
        self.page.get_by_label("API key or token").fill(key or self.gateway.key_of(app))
        self.page.get_by_role("button", name="Sign in").click()
        return self

    def choose(self, channel: str) -> "ConsolePage":
        """Open the channel by its name, and wait until its tail is live."""
        self.page.get_by_label("Filter channels").fill(channel)
        self.page.get_by_role("button", name="Open").click()
        expect(self.page.get_by_role("heading", name=channel, exact=True)).to_be_visible()
        expect(self.at("#tail-state")).to_have_text("Live")
        return self

    def show(self, tab: str) -> "ConsolePage":
        self.page.get_by_role("tab", name=tab).click()
        return self

    def publish(self, data: str, type_: str = "message") -> None:
        """Fill the form in and send it."""
        self.page.get_by_label("Type").fill(type_)
        self.page.get_by_label("Data, any JSON").fill(data)
        self.page.get_by_role("button", name="Publish").click()

    def offsets(self, events: str) -> list[int]:
        """Of the events in a list, as they stand there."""
        return [int(text.removeprefix("#")) for text in self.at(f"{events} .offset").all_inner_texts()]

    def close(self) -> None:
        self.context.close()
