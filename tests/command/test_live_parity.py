"""`crosstune parity` against our own service, one with another model, and one that answers rubbish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Crosstune

from served import Served, serving, tiny_export
from unruly import results, unruly

SCALES = {"cohere": "score", "tei": "logit"}


@pytest.fixture
def run(recipe: Path, crosstune: Crosstune, tmp_path: Path) -> Path:
    """A run with the tiny model, whose dev split is too small for a calibration."""
    assert crosstune("run", recipe, f"run_dir={tmp_path / 'run'}").code == 0
    return tmp_path / "run"


@pytest.fixture(scope="module")
def stranger() -> Iterator[Served]:
    """A server of another model."""
    with serving(tiny_export(seed=5)) as running:
        yield running


def test_the_runs_own_server_is_equal_whatever_its_format(run: Path, crosstune: Crosstune) -> None:
    with serving(run / "export") as served:
        for style, scale in SCALES.items():
            model = [] if style == "tei" else ["--model", "run"]
            words = (
                "parity",
                run / "export",
                "--url",
                f"{served.url}/{style}",
                "--style",
                style,
                *model,
                "--json",
            )
            done = crosstune(*words, "--queries", 6)
            assert done.code == 0, done.err
            found = json.loads(done.out)
            assert (found["queries"], found["pairs"]) == (6, 120)
            assert (found["kendall_tau"], found["top10_overlap"]) == (1.0, 1.0)
            assert found["ndcg"] == found["helper_ndcg"]
            assert found["scale"] == scale


def test_another_model_is_told_with_the_query_that_differs_most(
    run: Path, crosstune: Crosstune, stranger: Served
) -> None:
    words = ("parity", run / "export", "--url", f"{stranger.url}/tei", "--style", "tei")
    done = crosstune(*words)
    assert done.code == 1
    assert "--min-tau 0.99 was expected. Best of query 'q" in done.err
    assert "token_type_ids" in done.err and "the export has 48" in done.err
    assert crosstune(*words, "--min-tau", "-1").code == 0, "the limit is the user's"


def test_what_cannot_be_counted_is_no_parity(run: Path, crosstune: Crosstune) -> None:
    with unruly(lambda _number, _request: results([])) as server:
        done = crosstune("parity", run / "export", "--url", server.url, "--style", "cohere", "--model", "m")
    assert done.code == 1
    assert "query 'q" in done.err
    assert "begins again" in done.err and "goes on from there" not in done.err
    done = crosstune("parity", run / "export", "--url", server.url, "--style", "tei")
    assert done.code == 1
    assert "expected an answer; --timeout-seconds" in done.err


def test_an_export_elsewhere_takes_the_queries_of_the_run_that_is_named(
    run: Path, crosstune: Crosstune, tmp_path: Path
) -> None:
    moved = (run / "export").rename(tmp_path / "moved")
    with serving(moved) as served:
        words = ("parity", moved, "--url", f"{served.url}/tei", "--style", "tei")
        assert "no candidates of dev there; --run takes a run folder" in crosstune(*words).err
        done = crosstune(*words, "--run", run, "--queries", 2)
        assert done.code == 0, done.err


def test_a_folder_without_an_export_is_refused(tmp_path: Path, crosstune: Crosstune) -> None:
    done = crosstune("parity", tmp_path, "--url", "http://127.0.0.1:9/", "--style", "tei")
    assert done.code == 2
    assert "an export folder of crosstune was expected" in done.err
    export = tiny_export()
    done = crosstune("parity", export, "--url", "http://127.0.0.1:9/", "--style", "cohere")
    assert done.code == 2
    assert "--url http://127.0.0.1:9/" in done.err and "--model NAME" in done.err
