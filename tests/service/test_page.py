"""The demo page in a real Chromium: mouse, keyboard, phone, a key, and text that would be markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from chromium import ChromiumPage, chromium, needs_chromium
from crosstune.serve import Reranker
from served import Served, serving, tiny_export

KEY = "a-key-of-the-page-0123456789"
pytestmark = needs_chromium


class Page(ChromiumPage):
    def texts(self, selector: str) -> list[str]:
        return [found.text for found in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def until(self, message: str) -> None:
        WebDriverWait(self.driver, 60).until(lambda _: message in self.one("#status").text)


@pytest.fixture(scope="module", name="chromium")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(tiny_export()) as running:
        yield running


@pytest.fixture
def page(chromium: webdriver.Chrome, served: Served) -> Iterator[Page]:
    chromium.set_window_size(1200, 1000)
    chromium.get_log("browser")  # type: ignore[no-untyped-call]
    chromium.get(served.url)
    yield Page(chromium)
    errors = chromium.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [row for row in errors if row["level"] == "SEVERE"], errors


def test_before_and_after(page: Page) -> None:
    documents = ["close it", "open a file\nand read it", "sort the list", "<img src=x onerror=alert(1)>"]
    page.one("#query").send_keys("open the file")
    page.one("#documents").send_keys("\n\n".join(documents))
    page.one("#rank").click()
    page.until("4 documents ranked")
    hits = Reranker(tiny_export()).rank("open the file", documents)
    assert page.texts("#before .text") == documents
    assert page.texts("#after .text") == [hit.document for hit in hits]
    assert page.texts("#after .score") == [f"{hit.score:.3f}" for hit in hits]
    moves = [hit.index - place for place, hit in enumerate(hits)]
    words = [f"▲ up {m}" if m > 0 else f"▼ down {-m}" if m < 0 else "same place" for m in moves]
    assert page.texts("#after .move") == words
    facts = dict(zip(page.texts("#timing dt"), page.texts("#timing dd"), strict=True))
    assert facts["model"] == "tiny"
    assert all(facts[name].endswith(" ms") for name in ("round trip", "waiting", "scoring"))


def test_by_keyboard_alone(page: Page) -> None:
    def focused() -> str:
        return str(page.driver.switch_to.active_element.get_attribute("id"))

    assert focused() == "query"
    page.driver.switch_to.active_element.send_keys("sort", Keys.TAB)
    assert focused() == "documents"
    page.driver.switch_to.active_element.send_keys("open", Keys.ENTER, "sort the list")
    page.driver.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
    page.until("2 documents ranked")
    assert focused() == "result-title"
    page.one("#documents").send_keys(Keys.CONTROL, "a")
    page.one("#documents").send_keys(Keys.DELETE)
    page.one("#documents").send_keys(" ", Keys.TAB)
    assert focused() == "rank"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.until("at least one document")


def test_on_a_phone(page: Page) -> None:
    page.driver.set_window_size(500, 900)  # the narrowest window of Chromium
    page.one("#example").click()
    page.one("#rank").click()
    page.until("5 documents ranked")
    script = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    width, seen = page.driver.execute_script(script)  # type: ignore[no-untyped-call]
    assert width <= seen, "nothing to scroll sideways"
    assert page.one("#after").location["y"] < page.one("#before").location["y"], "the result comes first"
    buttons = page.driver.find_elements(By.TAG_NAME, "button")
    assert all(button.size["height"] >= 44 for button in buttons if button.is_displayed())


def test_a_service_with_keys_asks_for_one(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"page {KEY}\n")
    with serving(tiny_export(), "--keys", tmp_path / "keys") as served:
        chromium.get(served.url)
        page = Page(chromium)
        WebDriverWait(chromium, 60).until(lambda _: page.one("#key").is_displayed())
        page.one("#example").click()
        page.one("#rank").click()
        page.until("needs an API key")
        page.one("#key").send_keys(KEY)
        page.one("#rank").click()
        page.until("5 documents ranked")
