"""The search of the demo page in a real Chromium: mouse, keyboard, phone, and texts that would be markup."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from chromium import ChromiumPage, chromium, needs_chromium
from searched import HOSTILE, LONG, expected, fused_export, write_searched
from served import Served, serving, tiny_export

pytestmark = needs_chromium
QUERY = "open the file and read it"
KEY = "a-key-of-the-page-0123456789"


class Page(ChromiumPage):
    def open(self, url: str, width: int = 1200) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        self.driver.get(url)

    def ready(self) -> None:
        WebDriverWait(self.driver, 60).until(lambda _: self.one("#search").is_displayed())

    def shown(self, selector: str) -> int:
        return sum(found.is_displayed() for found in self.driver.find_elements(By.CSS_SELECTOR, selector))

    def keys(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        return str(self.driver.switch_to.active_element.get_attribute("id"))

    def ask(self, query: str) -> None:
        self.one("#query").clear()
        self.one("#query").send_keys(query)
        self.one("#search").click()

    def until(self, message: str) -> None:
        WebDriverWait(self.driver, 60).until(lambda _: message in self.one("#status").text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    write_searched(folder / "words")
    fused_export(folder / "fused")
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving(folder / "fused", tiny_export(), "--collection", f"beir:{folder / 'words'}") as running:
        yield running


@pytest.fixture(scope="module", name="chromium")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(chromium: webdriver.Chrome, served: Served) -> Iterator[Page]:
    chromium.get_log("browser")  # type: ignore[no-untyped-call]
    opened = Page(chromium)
    opened.open(served.url)
    opened.ready()
    yield opened
    assert chromium.get_log("browser") == []  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("model", ["fused", "tiny"])
def test_before_and_after(page: Page, folder: Path, model: str) -> None:
    fused = model == "fused"
    export = folder / "fused" if fused else tiny_export()
    ids, scores, hits = expected(folder / "words", export, QUERY, fused=fused)
    Select(page.one("#model")).select_by_visible_text(model)
    page.ask(QUERY)
    page.until(f"{len(ids)} passages found and reranked")
    after = [hit.index for hit in hits]
    assert page.all("h3") == ["Before: BM25", f"After: reranked by {model}"]
    assert page.all("#before .id") == ids
    assert page.all("#before .score") == [f"{score:.2f}" for score in scores]
    assert page.all("#before .move") == [f"now {after.index(place) + 1}" for place in range(len(ids))]
    assert page.all("#after .id") == [ids[index] for index in after]
    assert page.all("#after .text") == [hit.document for hit in hits]
    assert page.all("#after .score") == [f"{hit.shown:.3f}" for hit in hits]
    assert page.all("#after .other") == [f"BM25 {scores[index]:.2f}" for index in after]
    moves = [index - place for place, index in enumerate(after)]
    words = [f"▲ up {m}" if m > 0 else f"▼ down {-m}" if m < 0 else "same place" for m in moves]
    assert page.all("#after .move") == words
    facts = dict(zip(page.all("#timing dt"), page.all("#timing dd"), strict=True))
    assert all(facts[name].endswith((" ms", " s")) for name in ("BM25", "waiting", "reranking", "round trip"))
    assert page.one("#verdict").is_displayed() == fused
    assert ("scores together" in page.one("#verdict").text) == fused
    assert (page.shown("#before li"), page.shown("#after li")) == (10, 10)
    page.one("#all").click()
    assert page.shown("#after li") == len(ids)


def test_an_example_in_one_click(page: Page) -> None:
    examples = page.all("#chips button")
    assert len(examples) == 5
    page.one("#chips button").click()
    page.until("found and reranked")
    assert page.one("#query").get_attribute("value") == examples[0]
    before, after = (
        [place for place, text in enumerate(page.all(f"#{side} li"), start=1) if "✓ relevant" in text]
        for side in ("before", "after")
    )
    told = f"1 passage is judged relevant: at place {before[0]} before, {after[0]} after."
    assert page.one("#verdict").text.startswith(f"A test query of the collection. {told}")
    assert (len(before), len(after)) == (1, 1)


def test_what_is_not_found_is_said_kindly(page: Page) -> None:
    page.ask(QUERY)
    page.until("found and reranked")
    page.ask("walrus")
    page.until("BM25 finds no passage for this query: no word of it stands in the collection.")
    assert not page.one("#result").is_displayed()
    assert "wrong" not in str(page.one("#status").get_attribute("class"))


def test_texts_are_texts_and_long_ones_open(page: Page) -> None:
    page.ask("zebra okapi")
    page.until("2 passages found")
    places = page.all("#after .id")
    assert set(places) == {HOSTILE["_id"], "long"}
    assert page.driver.title == "crosstune: try the reranker"
    assert page.run("return document.querySelectorAll('#result img, #result script, #result b').length") == 0
    row = f"#after li:nth-child({places.index('long') + 1})"
    assert (page.shown("#after .more"), page.shown(f"{row} .more")) == (1, 1), "where not all is seen"
    height = page.one(f"{row} .text").size["height"]
    page.one(f"{row} .more").click()
    assert page.one(f"{row} .text").size["height"] > 3 * height
    assert page.one(f"{row} .missing").text == f"… and {len(LONG['text'].strip()) - 2000:,} more characters"
    page.one(f"{row} .more").click()
    assert page.one(f"{row} .text").size["height"] == height


def test_by_keyboard_alone(page: Page) -> None:
    assert page.focused() == "query"
    page.keys("file", Keys.ENTER)
    page.until("found and reranked")
    assert page.focused() == "result-title"
    page.one("#query").send_keys(Keys.TAB)
    assert page.focused() == "search"
    page.keys(Keys.TAB, Keys.ENTER)
    page.until("found and reranked")
    assert page.one("#query").get_attribute("value") == page.all("#chips button")[0]
    page.one("[name=mode][value=search]").send_keys(Keys.ARROW_RIGHT)
    assert page.one("#documents").is_displayed() and not page.one("#search").is_displayed()
    page.one("#documents").send_keys("open", Keys.ENTER, "sort the list")
    page.keys(Keys.CONTROL, Keys.ENTER)
    page.until("2 documents ranked")
    assert page.all("h3") == ["Before: as given", "After: reranked"]
    page.one("[name=mode][value=paste]").send_keys(Keys.ARROW_LEFT)
    assert page.one("#search").is_displayed() and not page.one("#documents").is_displayed()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (360, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
        pytest.param(360, "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    page: Page, served: Served, scheme: str, width: int
) -> None:
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.open(served.url, width)
    page.ready()
    page.one("#chips button").click()
    page.until("found and reranked")
    page.one("#all").click()
    sizes = "return [document.documentElement.scrollWidth, innerWidth]"
    scrolled, seen = page.run(sizes)
    assert (scrolled <= seen, seen) == (True, width)
    page.one("#all").click()
    if width < 500:
        assert page.one("#after").location["y"] < page.one("#before").location["y"], "the result comes first"
        buttons = page.driver.find_elements(By.TAG_NAME, "button")
        assert all(button.size["height"] >= 44 for button in buttons if button.is_displayed())
    page.run(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    script = "const done = arguments[0]; axe.run().then(done, error => done({error: String(error)}))"
    result = page.driver.execute_async_script(script)  # type: ignore[no-untyped-call]
    assert "color-contrast" in {row["id"] for row in result["passes"]}
    wrong = [(row["id"], row["impact"], [n["html"] for n in row["nodes"]]) for row in result["violations"]]
    assert wrong == []


@pytest.mark.slow
def test_a_service_with_keys_asks_for_one(chromium: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"page {KEY}\n")
    words = ("--collection", f"beir:{folder / 'words'}", "--keys", tmp_path / "keys")
    with serving(tiny_export(), *words) as served:
        page = Page(chromium)
        page.open(served.url)
        WebDriverWait(chromium, 60).until(lambda _: page.one("#key").is_displayed())
        page.one("#key").send_keys(KEY, Keys.TAB)
        page.ready()
        page.ask("file")
        page.until("found and reranked")
