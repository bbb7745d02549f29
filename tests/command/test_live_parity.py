"""`crosstune parity` against our own service, one with another model, and one that answers rubbish."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune, tiny_run

from crosstune.cli import main
from crosstune.export import Sample
from crosstune.live_parity import _helper
from crosstune.serve import Reranker, Score
from crosstune.serve.calibration import Isotonic, sigmoid
from served import Served, serving, tiny_export
from unruly import Reply, results, unruly

SCALES = {"cohere": "score", "tei": "logit"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the tiny model, whose dev split is too small for a calibration."""
    return tiny_run(tmp_path_factory.mktemp("parity"))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy, which a test may change."""
    return Path(shutil.copytree(made, tmp_path / "run"))


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
            assert found["ndcg_low"] == found["ndcg_high"] == 0
            assert 0 <= found["largest_difference"] < 1e-4
            assert found["scale"] == scale


def test_another_model_is_told_with_the_query_that_differs_most(
    run: Path, crosstune: Crosstune, stranger: Served
) -> None:
    words = ("parity", run / "export", "--url", f"{stranger.url}/tei", "--style", "tei")
    done = crosstune(*words)
    assert done.code == 1
    assert "--min-tau 0.99 was expected. Best of query 'q" in done.err
    assert "token_type_ids" in done.err and "the export has 48" in done.err
    done = crosstune(*words, "--min-tau", "-1", "--json")
    assert done.code == 0, "the limit is the user's"
    found = json.loads(done.out)
    assert (found["scale"], found["largest_difference"]) == ("other", None)
    assert found["ndcg_low"] <= found["ndcg"] - found["helper_ndcg"] <= found["ndcg_high"]
    assert found["ndcg_low"] < found["ndcg_high"]


def test_the_largest_difference_is_that_of_all_queries(run: Path, crosstune: Crosstune) -> None:
    """The helper's own logits, but for one document of the last query, which is .25 off."""
    helper = Reranker(run / "export")

    def answer(number: int, request: dict[str, Any]) -> Reply:
        scores = [s.logit for s in helper.score([(request["query"], text) for text in request["texts"]])]
        scores[0] += 0.25 * (number == 3)
        return Reply(body=json.dumps([{"index": n, "score": score} for n, score in enumerate(scores)]))

    with unruly(answer) as server:
        words = ("parity", run / "export", "--url", server.url, "--style", "tei", "--queries", 3)
        done = crosstune(*words, "--concurrency", 1, "--min-tau", -1)
    assert done.code == 0, done.err
    assert "of the helper's logit, largest difference 2.5e-01" in done.out
    assert "(95 % interval of the difference [" in done.out


def test_messages_name_the_option_that_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["parity", str(tmp_path), *words])
        assert ended.value.code == 2
        return " ".join(capsys.readouterr().err.split())

    address = refused("--url", "127.0.0.1:18099", "--style", "tei")
    assert "--url 127.0.0.1:18099: http:// or https://" in address and "--endpoint" not in address
    style = refused("--url", "http://127.0.0.1:9", "--style", "soap")
    assert "--style soap: no such wire format; --style is one of cohere, jina, voyage, tei" in style
    assert "--url" not in style


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


def test_the_scale_is_told_by_all_queries() -> None:
    """Not by the first alone, whose documents are irrelevant: their scores and probabilities are about 0."""
    curve = Isotonic((-9.0, -7.0, -4.0, 4.0), (0.0005, 0.0005, 0.02, 0.9))

    class Calibrated:
        def score(self, pairs: list[tuple[str, str]]) -> list[Score]:
            logits = [float(text) for _, text in pairs]
            return [
                Score(logit, sigmoid(logit), False, p)
                for logit, p in zip(logits, curve.probabilities(logits), strict=True)
            ]

    passages = {"a": "-9.0", "b": "-8.0", "c": "-3.0", "d": "3.0"}
    candidates = {"first": {"a": 1.0, "b": 0.5}, "second": {"c": 1.0, "d": 0.5}}
    sample = Sample({q: q for q in candidates}, passages, candidates)
    found = {
        q: {doc: float(curve.probabilities([float(passages[doc])])[0] or 0) for doc in docs}
        for q, docs in candidates.items()
    }
    scale, exact, _ = _helper(Calibrated(), sample, found)  # type: ignore[arg-type]
    assert (scale, exact) == ("probability", found)
