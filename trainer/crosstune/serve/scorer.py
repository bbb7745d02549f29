"""An export folder that turns checked pairs into scores, and a query's scores into hits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from crosstune.errors import InputError
from crosstune.machine import cores
from crosstune.serve.budget import score_until
from crosstune.serve.calibration import Kind, sigmoid
from crosstune.serve.engines import BATCH_TOKENS, choose, open_forward
from crosstune.serve.explain import Explanation, explain
from crosstune.serve.fusion import standardised
from crosstune.serve.given import Candidates
from crosstune.serve.manifest import read_manifest
from crosstune.serve.pairs import EncodedPair, PairEncoder
from crosstune.serve.ranked import RankedDocument, Score, best_first
from crosstune.serve.windows import Best, best_windows

PAIRS_AT_ONCE = 8192
"""Held as ids: enough for batches without padding, and some ten megabytes."""
WHAT: dict[Kind, str] = {"logit": "logit", "fused": "fused score"}


class Scorer:
    """Holds no state between calls."""

    def __init__(self, path: Path, backend: str) -> None:
        """Raises `InputError` as `Reranker` says."""
        self.path = path.absolute()
        self.manifest = read_manifest(path)
        self._encoder = PairEncoder.from_folder(path, self.manifest.rule)
        threads = cores()
        self.backend = choose(self.manifest, backend, path, threads)
        self.forward = open_forward(self.manifest, self.backend, path, threads)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        scores: list[Score] = []
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            encoded = self._encoder.encode(pairs[start : start + PAIRS_AT_ONCE])
            scores += self._scores(encoded, self._best(encoded))
        return scores

    def scores_until(self, deadline: float, query: str, texts: Sequence[str]) -> list[Score]:
        """Of as many texts, from the first on, as `score_until` reaches."""
        encoded, best = score_until(
            deadline,
            texts,
            lambda part: self._encoder.encode([(query, text) for text in part]),
            self._best,
            self.forward.threads,
            BATCH_TOKENS,
        )
        return self._scores(encoded, best)

    def kind(self, given: Candidates) -> Kind:
        """What its documents are ranked by."""
        return "fused" if self.manifest.fusion and given.first is not None else "logit"

    def hits(
        self, given: Candidates, scores: Sequence[Score], above_threshold: bool = False
    ) -> list[RankedDocument]:
        """The documents best first. `scores`: of the first documents, or of all."""
        fused, probabilities = None, [score.probability for score in scores]
        if self.manifest.fusion and given.first is not None:
            z = standardised(given.first)[: len(scores)]
            fused = self.manifest.fusion.add([score.logit for score in scores], z)
            probabilities = self._probabilities("fused", fused)
        ranked = best_first(given.documents, scores, fused, probabilities)
        if not above_threshold:
            return ranked
        least = self.threshold(self.kind(given))
        return [hit for hit in ranked if hit.probability is not None and hit.probability >= least]

    def explanation(self, query: str, text: str, max_words: int, span: tuple[int, int] | None) -> Explanation:
        """`span`: the characters whose words are tried, where the text is read in windows."""

        def logits(texts: Iterable[str]) -> list[float]:
            return [score.logit for score in self.scores([(query, part) for part in texts])]

        return explain(text, self.manifest.rule.characters, max_words, logits, span)

    def threshold(self, kind: Kind) -> float:
        """Raises `InputError` when the export has none for these values."""
        scale = self.manifest.scales.get(kind)
        if scale is None or scale.threshold is None:
            raise InputError(
                f"above_threshold: this export has no threshold for the {WHAT[kind]}; set export.threshold "
                "in the recipe, as export.threshold.precision=0.9, and export again"
            )
        return scale.threshold

    def _probabilities(self, kind: Kind, values: Sequence[float]) -> list[float | None]:
        """By the calibration of this kind of values; `None` for each where the export has none."""
        scale = self.manifest.scales.get(kind)
        return [None] * len(values) if scale is None else [*scale.curve.probabilities(values)]

    def _scores(self, encoded: Sequence[EncodedPair], best: Sequence[Best]) -> list[Score]:
        probabilities = self._probabilities("logit", [one.logit for one in best])
        return [
            Score(
                one.logit,
                sigmoid(one.logit),
                bool(pair.cut_query or pair.cut_passage),
                probability,
                pair.windows[one.window].span,
            )
            for one, pair, probability in zip(best, encoded, probabilities, strict=True)
        ]

    def _best(self, encoded: Sequence[EncodedPair]) -> list[Best]:
        """The logit of each pair, and which of its windows has it."""
        logits = self.forward.logits([window for pair in encoded for window in pair.windows])
        return list(best_windows(logits.tolist(), [len(pair.windows) for pair in encoded]))
