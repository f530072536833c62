"""GraphiQL in a real browser: nothing from another host, no error, and it shows data."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.api.conftest import PASSWORD
from tests.world import World

ASSETS = Path(__file__).resolve().parents[2] / "api" / "assets"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(shared_world: World) -> Iterator[str]:
    """Where the real application is served, over the module's database."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Silent)
    server.daemon_threads = True
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


@dataclass
class Watched:
    """A page, with everything it asked for and complained of."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    """Opened last and closed first: Playwright's loop keeps Django from the database here."""
    assert address
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def watched(browser: Browser, address: str) -> Iterator[Watched]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    seen = Watched(page)

    def asked(request: Request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            seen.elsewhere.append(request.url)

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            seen.complaints.append(message.text)

    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    yield seen
    page.close()


def sign_in(page: Page, address: str, email: str) -> None:
    page.goto(f"{address}/sign-in/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


@needs_browser
class TestInABrowser:
    def test_a_query_shows_data(self, watched: Watched, address: str, shared_world: World) -> None:
        page = watched.page
        sign_in(page, address, shared_world.lenders[1].email)
        page.goto(f"{address}/graphiql/")
        page.get_by_role("button", name="Execute query").click()
        result = page.get_by_label("Result Window")
        expect(result).to_contain_text('"amount": "534.34"')
        expect(result).to_contain_text('"name": "A*/36"')
        # The schema explains itself in the book on the left.
        page.get_by_role("button", name="Show Documentation Explorer").click()
        expect(page.get_by_role("link", name="Query", exact=True)).to_be_visible()
        assert watched.elsewhere == []
        assert watched.complaints == []

    def test_nobody_gets_refusals(self, watched: Watched, address: str) -> None:
        page = watched.page
        page.goto(f"{address}/graphiql/")
        page.get_by_role("button", name="Execute query").click()
        expect(page.get_by_label("Result Window")).to_contain_text('"code": "UNAUTHENTICATED"')
        assert watched.elsewhere == []
        assert watched.complaints == []

    def test_the_start_page_fits_a_telephone(
        self, watched: Watched, address: str, shared_world: World
    ) -> None:
        page = watched.page
        page.set_viewport_size({"width": 360, "height": 740})
        sign_in(page, address, shared_world.lenders[1].email)
        expect(page.get_by_role("heading", name="Your newest parts")).to_be_visible()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360
        assert watched.elsewhere == []
        assert watched.complaints == []


def test_no_style_sheet_or_script_names_a_file_elsewhere() -> None:
    for sheet in ASSETS.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.findall(r"@import|@font-face|sourceMappingURL", text), sheet.name
        assert set(re.findall(r"url\(\"?(.{5})", text)) <= {"data:"}, sheet.name
    for script in ASSETS.rglob("*.js"):
        tail = script.read_text(encoding="utf-8")[-300:]
        assert "sourceMappingURL" not in tail, script.name
