"""The small pages (merge, learning curve) in a real Chromium: nothing for axe, nothing scrolls sideways."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from chromium import chromium, needs_chromium
from crosstune.curve.fit import Forecast, LearningCurve, Point
from crosstune.curve.page import render_curve
from crosstune.evaluate.significance import compare, verdict
from crosstune.merge.page import render_merge

pytestmark = [needs_chromium, pytest.mark.slow]
HOSTILE = "<script>document.title = 'hit'</script>"


def _merge_page() -> str:
    against = compare({"a": 0.1, "b": 0.3}, {"a": 0.2, "b": 0.2}, 1, 200)
    found = {"base": {**vars(against), "verdict": verdict(against, against.p)}}
    about = {"collection": HOSTILE, "split": "dev", "queries": 2, "first_stage": 0.4}
    curve = [
        {
            "alpha": alpha, "domain": 0.3, "domain_interval": [0.2, 0.4], "probe": 0.5,
            "probe_interval": [0.4, 0.6], "value": 0.9,
        }
        for alpha in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    return render_merge(
        {
            "base": HOSTILE, "tuned": "tuned", "measure": "nDCG@10", "rule": "a rule", "alpha": 0.5,
            "domain": about, "probe": about, "curve": curve,
            "differences": {"domain": found, "probe": found},
        }
    )  # fmt: skip


def _curve_page() -> str:
    points = [Point(share, n, n, 0.5, 0.4, 0.6) for share, n in ((0.1, 50), (1.0, 500))]
    ahead = [Forecast(1000, 0.7, 0.65, 0.75, 0.01, 0.0, 0.02)]
    law = {"c": 0.6, "a": 0.1, "b": 0.5}
    reference = {"first_stage": 0.4, "base": 0.3, "ceiling": 0.9}
    return render_curve(LearningCurve(1, "nDCG@10", 80, points, law, ahead, reference, 0, HOSTILE))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(tmp_path: Path, scheme: str) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    with chromium(tmp_path / "profile") as driver:
        preference = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", preference)
        for name, page in (("merge", _merge_page()), ("curve", _curve_page())):
            (tmp_path / f"{name}.html").write_text(page, encoding="utf-8")
            for width in (1280, 500):
                driver.set_window_size(width, 900)
                driver.get((tmp_path / f"{name}.html").as_uri())
                sizes = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
                assert sizes[0] <= sizes[1], (name, width)
            assert driver.title.startswith("crosstune: ")
            driver.execute_script(axe)
            found = driver.execute_async_script(
                "const done = arguments[0]; axe.run().then(done, error => done({error: String(error)}))"
            )
            assert "color-contrast" in {row["id"] for row in found["passes"]}
            assert [(row["id"], [n["html"] for n in row["nodes"]]) for row in found["violations"]] == []
