"""A format whose answers change from pass to pass is not written, however well each of them ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from crosstune.export import ExportSettings
from crosstune.export.gate import compare_ranking, score_sample, tau
from crosstune.serve import Reranker, Score
from crosstune.serve.engines import Format
from export_sample import sample_of_words
from served import tiny_export

SAMPLE = sample_of_words(passages=60, queries=4)
FORMATS: tuple[Format, ...] = ("openvino", "openvino-bf16", "onnx-int8", "openvino-int8")
LOOSE = ExportSettings(formats=["onnx", *FORMATS], tolerance=1)


class Wavering(Reranker):
    """The helper, with `by` added to every logit from the second pass over the sample on: the order stays."""

    by = 0.0
    calls = 0

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:  # type: ignore[override]
        self.calls += 1
        later = self.calls > len(SAMPLE.candidates)
        return [replace(score, logit=score.logit + later * self.by) for score in super().score(pairs)]


@pytest.fixture
def wavering() -> Wavering:
    return Wavering(tiny_export(), "onnx")


def test_passes_that_differ_are_refused_for_every_format(wavering: Wavering) -> None:
    exact = score_sample(Reranker(tiny_export(), "onnx"), SAMPLE)
    wavering.by = 0.01
    parity = compare_ranking(wavering, exact, SAMPLE)
    assert wavering.calls == 2 * len(SAMPLE.candidates)
    assert (parity.kendall_tau, parity.ndcg, parity.steady) == (1.0, parity.fp32_ndcg, False)
    assert parity.largest_difference == pytest.approx(0.01)
    for name in FORMATS:
        assert parity.failures(name, LOOSE) == ["passes over the same pairs gave different logits"]


def test_rounding_is_no_difference(wavering: Wavering) -> None:
    exact = score_sample(Reranker(tiny_export(), "onnx"), SAMPLE)
    wavering.by = 1e-5
    parity = compare_ranking(wavering, exact, SAMPLE)
    assert parity.steady
    assert not any(parity.failures(name, LOOSE) for name in FORMATS)


@pytest.mark.parametrize("logits", [[3, 3, 0], [0, 0, 0, 2, 1, 2, 2], [3, 3, 0, 2, 3, 3, 2, 3, 2, 1]])
def test_equal_orders_with_ties_reach_a_limit_of_one(logits: list[float]) -> None:
    exact = {str(place): logit for place, logit in enumerate(logits)}
    assert tau(exact, exact) == 1
    assert tau({doc: -logit for doc, logit in exact.items()}, exact) == -1
