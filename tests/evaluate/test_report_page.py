"""The report page in a real Chromium: figures, mouse and keyboard, phone and paper, and texts like markup."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from chromium import ChromiumPage, chromium, needs_chromium
from crosstune.data.mining import REASONS
from crosstune.evaluate.report import render_report
from crosstune.evaluate.report.mined import WORDS
from crosstune.export import UNCALIBRATED
from report_cases import HOSTILE, ODD, large, largely_mined, manifest, small

pytestmark = needs_chromium
NAMES = ["gains", "loses", "equal", "lost", "leaked", HOSTILE]


class Page(ChromiumPage):
    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        super().__init__(driver)
        self.url = url

    def open(self, fragment: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(self.url + fragment)
        WebDriverWait(self.driver, 60).until(lambda _: self.one("#browser").is_displayed())

    def size(self, width: int, *, phone: bool) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=phone
        )

    def scheme(self, value: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": value}]
        self.command("Emulation.setEmulatedMedia", features=features)

    def keys(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        return str(self.driver.switch_to.active_element.get_attribute("id"))

    def listed(self) -> list[str]:
        return self.all("#list [role=option] .ids")

    def chosen(self) -> str:
        (name,) = self.all("#list [aria-selected=true] .ids")
        assert self.one("#list").get_attribute("aria-activedescendant") == self.run(
            "return document.querySelector('[aria-selected=true]').id"
        )
        return name


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(small()), encoding="utf-8")
    return path


@pytest.fixture
def page(driver: webdriver.Chrome, file: Path) -> Iterator[Page]:
    """Opened from disk without a network; nothing may go wrong in the console."""
    opened = Page(driver, file.as_uri())
    opened.size(1280, phone=False)
    opened.scheme("light")
    driver.get_log("browser")  # type: ignore[no-untyped-call]
    opened.open()
    yield opened
    assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_the_headline_the_leaks_and_the_recipe(page: Page) -> None:
    assert page.one("h1").text == "nDCG@10 on test: 0.567 → 0.700"  # 3.4 / 6 and 4.2 / 6
    figures = dict(zip(page.all(".figures dt"), page.all(".figures dd"), strict=True))
    assert figures["gain"] == "+0.133"
    assert re.fullmatch(r"\[[+-]\d\.\d{3}, [+-]\d\.\d{3}\]", figures["95 % interval"])
    assert figures["queries"].split() == "▲ 3 better ● 2 equal ▼ 1 worse".split()  # noqa: SIM905
    assert page.all("#leakage tbody tr:first-child td") == ["0.567", "0.700", "+0.133"]
    # 2.8 / 5 and 3.2 / 5 without the leaked query
    assert page.all("#leakage tbody tr:last-child td") == ["0.560", "0.640", "+0.080"]
    assert "leaked" in page.one("#leakage .ids").text
    assert page.all("section[aria-labelledby=systems] table:first-of-type tbody th")[:4] == [
        "first stage", "untrained base model", "tuned recommended", "ceiling",
    ]  # fmt: skip
    assert f"model: {HOSTILE}" in page.one("#recipe").text
    assert "21.5 ms a query" in page.one("section[aria-labelledby=cost]").text
    assert "1 of them have no relevant document among the candidates" in page.one("main").text
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "figure svg")) == 4


def test_the_calibration(page: Page) -> None:
    section = "section[aria-labelledby=calibration]"
    found = manifest()
    curve, limit = found["calibration"]["logit"], found["threshold"]["logit"]
    assert page.all(f"{section} h3") == ["By the logit"]
    before, after = (f"{curve['dev'][name]['ece']:.4f}" for name in ("before", "after"))
    told = page.one(section).text
    assert f"Chosen: {curve['method']}, on 80 dev queries with 480 candidates, 80 of them relevant" in told
    assert f"the expected calibration error goes from {before} to {after}." in told
    assert f"Threshold for a precision of 0.8: {limit['probability']:.3f}, 95 % interval [" in told
    assert "Not calibrated: the logit with the first stage's score tells no more of relevance" in told
    tables = f"{section} figure tbody tr"
    counts = page.run(f"return [...document.querySelectorAll('{tables}')].map(r => r.cells[3].textContent)")
    assert sum(map(int, counts)) == 480
    assert page.one(f"{section} figure svg").is_displayed()


@pytest.mark.parametrize(
    ("manifest_", "sentence"),
    [
        (None, "There is no export of this evaluation, and the export is what calibrates"),
        (dict(UNCALIBRATED.manifest), "Not calibrated: no calibration was asked for."),
        ({"calibration": None, "threshold": None}, "Not calibrated; this export is of an older crosstune"),
    ],
)
def test_without_a_calibration_one_sentence_says_so(
    manifest_: dict[str, object] | None, sentence: str
) -> None:
    text = render_report(replace(small(), manifest=manifest_))
    section = text.partition('<h2 id="calibration">')[2].partition("</section>")[0]
    assert section.count("<p") == 1
    assert sentence in section


def test_both_rankings_of_a_query(page: Page) -> None:
    page.open("#query=gains")
    assert page.one("#query").text == "open the files of gains"
    assert page.all("#about span")[:2] == ["gains: 0.600 → 1.000 ", "▲ +0.400"]
    assert page.all("#before .id") == ["gains-a", "gains-b", "gains-c"]
    assert page.all("#after .id") == ["gains-b", "gains-a", "gains-c"]
    heads = [" ".join(head.split()) for head in page.all("#after .head")]
    assert heads == [
        "gains-b✓ relevant, grade 2was 2", "gains-awas 1", "gains-c✗ judged not relevantsame place",
    ]  # fmt: skip
    assert page.all("#after .place") == ["1", "2", "3"]
    assert page.one("#after .text").text.endswith("\n    line by line")
    # `opens` and `file` are forms of the query's words; `the` is one; `gains` stands in the passage's id.
    assert page.all("#after li:first-child mark") == ["the", "gains", "opens", "file"]
    page.open("#query=lost")
    assert page.all("#lost .id") == ["lost-d"]
    assert page.one("#lost-part").is_displayed()


def test_searching_sorting_and_showing_some(page: Page) -> None:
    assert set(page.listed()) == set(NAMES)
    assert page.all("#list .number") == ["▲ +0.400"] * 3 + ["● 0.000"] * 2 + ["▼ -0.400"]
    page.one("#search").send_keys("FILES loses")
    assert page.listed() == ["loses"]
    assert page.one("#count").text == "1 of 6 queries"
    assert page.chosen() == "loses"
    page.one("#search").clear()
    page.one("#search").send_keys("nothing has these words")
    assert (page.listed(), page.one("#detail").is_displayed()) == ([], False)
    page.one("#search").clear()
    page.one("#search").send_keys(Keys.SPACE)
    for value, expected in {
        "better": {"gains", "leaked", HOSTILE}, "equal": {"equal", "lost"}, "worse": {"loses"},
        "missed": {"lost"}, "leaked": {"leaked"}, "all": set(NAMES),
    }.items():  # fmt: skip
        Select(page.one("#show")).select_by_value(value)
        assert set(page.listed()) == expected, value
    for value, expected in {"loss": "loses", "order": "gains", "after": "lost", "gain": "gains"}.items():
        Select(page.one("#sort")).select_by_value(value)
        assert page.listed()[0] == expected, value


def test_by_keyboard_alone(page: Page) -> None:
    page.one("body").send_keys("/")
    assert page.focused() == "search"
    page.keys("open", Keys.ARROW_DOWN)
    assert page.focused() == "list"
    order = page.listed()
    assert page.chosen() == order[0]
    page.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert page.chosen() == order[1]
    page.keys(Keys.END, Keys.ARROW_DOWN)
    assert page.chosen() == order[-1]
    page.keys(Keys.HOME, Keys.ARROW_UP)
    assert page.chosen() == order[0]
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    reached = []
    page.one("#search").click()
    for _ in range(6):
        assert page.run(outline) == "solid"
        reached.append(page.focused())
        page.keys(Keys.TAB)
    assert reached[:5] == ["search", "sort", "show", "list", "whole"]
    page.run("document.getElementById('whole').focus()")
    page.keys(Keys.SPACE)
    assert page.run("return getComputedStyle(document.querySelector('.text')).display") == "block"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(page: Page, scheme: str, width: int) -> None:
    page.size(width, phone=width < 500)
    page.scheme(scheme)
    page.open("#query=gains")
    page.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    sizes = "return [document.documentElement.scrollWidth, innerWidth]"
    scrolled, seen = page.run(sizes)
    assert (scrolled <= seen, seen) == (True, width)
    page.run(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    script = "const done = arguments[0]; axe.run().then(done, error => done({error: String(error)}))"
    result = page.driver.execute_async_script(script)  # type: ignore[no-untyped-call]
    assert "color-contrast" in {row["id"] for row in result["passes"]}
    wrong = [(row["id"], row["impact"], [n["html"] for n in row["nodes"]]) for row in result["violations"]]
    assert wrong == []


def test_what_mining_did(page: Page) -> None:
    page.open("#mined=t1")
    assert "2 of the 2000 that it saw are here: the 1 with the most suspicious candidates and 1 drawn" in (
        page.one("section[aria-labelledby=mined-browse]").text
    )
    assert page.all("#mined-list .number") == ["0.875", "0.100"]
    assert page.one("#mined-query").text == "open a file"
    assert page.one("#mined-about").text == (
        "t1: 6 candidates; near copy 1, judged positive 1, taken 2, outside ranks 1, margin 1"
    )
    assert page.all("#mined-rows .id") == ["near", "positive", "taken", "outside", "dense", "random"]
    assert page.all("#mined-rows .place") == ["1", "2", "3", "51", "–", "–"]
    heads = "[...document.querySelectorAll('#mined-rows .head')]"
    told = page.run(f"return {heads}.map(head => [...head.children].slice(1).map(part => part.textContent))")
    taken, like = "● taken as a negative, in 1 of the query's 2 groups", "similarity to a positive"
    assert told == [
        ["○ left: nearly a copy of a positive", "first stage 9.5", "teacher 0.875", f"{like} 0.96"],
        ["✓ relevant, grade 2", "first stage 8"],
        [f"{taken} (the first stage)", "first stage 7.25", f"{like} 0.25"],
        ["○ left: outside the ranks that negatives come from", "first stage 1.5"],
        ["○ left: scores too close to the positive, or above it", f"{like} 0.5", "dense: rank 4, 0.5"],
        [f"{taken} (a random draw)", f"{like} 0.25"],
    ]
    assert page.all("#mined-lost .id") == ["lost"]
    assert page.all("#mined-rows li:first-child mark") == ["opens", "file"]
    show = Select(page.one("#mined-show"))
    for value, expected in {"drawn": [f"t-{HOSTILE}"], "margin": ["t1"], "suspicious": ["t1"]}.items():
        show.select_by_value(value)
        assert page.all("#mined-list .ids") == expected
    show.select_by_value("all")
    page.one("#mined-search").send_keys("t-")
    assert page.all("#mined-list .ids") == [f"t-{HOSTILE}"]
    assert page.all("#mined-rows .text") == [f"{HOSTILE} {ODD}".replace("\ud800", "\ufffd")]
    page.one("#mined-search").clear()
    page.one("#mined-search").send_keys("o", Keys.ARROW_DOWN)
    assert page.focused() == "mined-list"
    page.keys(Keys.END)
    assert page.all("#mined-list [aria-selected=true] .ids") == [f"t-{HOSTILE}"]
    page.keys(Keys.HOME)
    assert page.all("#mined-list [aria-selected=true] .ids") == ["t1"]
    assert page.chosen() == page.listed()[0]  # the other list is left alone


def test_every_reason_of_the_ledger_has_words() -> None:
    assert list(WORDS) == ["taken", *REASONS]


def test_without_a_ledger_there_is_no_such_list(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "unmined.html"
    path.write_text(render_report(replace(small(), mined=None)), encoding="utf-8")
    page.url = path.as_uri()
    page.open("#mined=t1")
    assert page.run("return document.querySelectorAll('[id^=mined], [href^=\"#mined\"]').length") == 0
    assert len(page.listed()) == 6


def test_texts_are_never_markup(page: Page, file: Path) -> None:
    page.open("#query=" + HOSTILE.replace("<", "%3C").replace("'", "%27"))
    page.one("#whole").click()
    shown = ODD.replace("\ud800", "\ufffd")
    assert page.all("#query") == [f"{shown} {HOSTILE}"]
    assert page.all("#before li:nth-child(2) .text") == [f"{HOSTILE} {shown}"]
    assert page.all("#before .id") == [f"{HOSTILE}-{letter}" for letter in "abc"]
    assert page.run("return window.hit ?? 'untouched'") == "untouched"
    assert page.run("return document.querySelectorAll('script, img').length") == 3
    assert HOSTILE not in file.read_text(encoding="utf-8")


def test_7000_queries_stay_below_3_mb_and_are_all_there(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_text(render_report(largely_mined(large(7000))), encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    page.url = path.as_uri()
    page.open()
    assert page.one("#count").text == "7000 queries"
    gains = [float(text.split()[1]) for text in page.all("#list .number")]
    assert len(gains) < 500  # the others are drawn when they are come to
    assert gains == sorted(gains, reverse=True)
    page.one("#list").click()
    page.keys(Keys.END)
    assert len(page.listed()) == 7000
    last = page.chosen()
    boxes = (
        "['[aria-selected=true]', '#list'].map(name => document.querySelector(name).getBoundingClientRect())"
    )
    seen = f"const [a, b] = {boxes}; return a.top >= b.top - 1 && a.bottom <= b.bottom + 1"
    assert page.run(seen) is True
    assert len(page.all("#after .text")) >= 3
    Select(page.one("#sort")).select_by_value("loss")
    assert page.listed()[0] == last
    page.open(f"#query={last}")
    assert page.chosen() == last
    assert page.one("#mined-count").text == "100 queries"
    assert len(page.all("#mined-rows .text")) == 20
    assert "100 of the 400000 that it saw are here: the 50 with the most suspicious" in page.one("main").text


def test_the_pages_policy_runs_no_other_script(page: Page) -> None:
    script = "const made = document.createElement('script'); made.textContent = 'window.hit = 1'; "
    page.run(script + "document.body.append(made)")
    assert page.run("return window.hit ?? 'untouched'") == "untouched"
    (refused,) = page.driver.get_log("browser")  # type: ignore[no-untyped-call]
    assert "Content Security Policy" in refused["message"]


def test_a_browser_that_cannot_unpack_says_so(page: Page, file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    text = file.read_text(encoding="utf-8")
    packed = re.search(r'id="data">([^<]+)', text)
    assert packed is not None
    damaged = base64.b64encode(json.dumps({}).encode()).decode()
    broken.write_text(text.replace(packed[1], damaged), encoding="utf-8")
    page.driver.get(broken.as_uri())
    WebDriverWait(page.driver, 60).until(lambda _: page.one("#failed").is_displayed())
    assert "per_query.csv" in page.one("#failed").text
    assert "nDCG@10 on test" in page.one("h1").text


def test_on_paper(page: Page) -> None:
    page.scheme("dark")
    page.command("Emulation.setEmulatedMedia", media="print")
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for selector, visible in {
        "#list": False,
        "nav": False,
        "#search": False,
        "h1": True,
        "svg": True,
    }.items():
        assert page.one(selector).is_displayed() is visible, selector
    page.command("Emulation.setEmulatedMedia", media="")
    page.scheme("dark")
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
