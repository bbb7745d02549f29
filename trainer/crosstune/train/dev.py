"""The dev queries: what each evaluation of a training scored, and what dev says at its end."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.device import device
from crosstune.evaluate import dev_line, mean, per_query
from crosstune.files import read_json, write_json
from crosstune.models import has_ranking_head
from crosstune.progress import say
from crosstune.records import Collection, Qrels, Run
from crosstune.train.doctor.dev_signs import DevSigns
from crosstune.train.fusion import MEASURE, SIGNIFICANT, FusionTrial, try_fusion
from crosstune.trec import read_run, write_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.serve.pairs import PairEncoder
    from crosstune.train.config import TrainSettings


@dataclass(frozen=True)
class DevVerdict:
    """`ndcg`: system -> nDCG@10 over the verdict's dev queries, `None` where it was not measured:
    `first_stage`, `base` (see `DevJudge.base`), `tuned`, `fused` (cross-validated, when it was kept).
    `best`: the system with the highest; at a tie the earlier."""

    ndcg: dict[str, float | None]
    best: str


class DevJudge:
    """Reranks dev queries: a sample at each evaluation, in the precision of training, and all for the
    verdict, in fp32. The scores of each evaluation lie in a folder: an interrupted training finds them."""

    def __init__(
        self,
        collection: Collection,
        candidates: Run,
        settings: TrainSettings,
        encoder: PairEncoder,
        seed: int,
        folder: Path,
        *,
        bf16: bool = False,
    ) -> None:
        """`candidates`: all that the first stage returned for the dev queries; `bf16`: whether training
        computes in it."""
        from crosstune.train.scoring import drawn_lists

        count = max(settings.dev_queries, settings.verdict_queries)
        self._all = drawn_lists(collection.qrels["dev"], candidates, count, settings.dev_depth, seed)
        self.sample: Run = {
            query_id: self._all[query_id] for query_id in [*self._all][: settings.dev_queries]
        }
        self._qrels: Qrels = {query_id: collection.qrels["dev"][query_id] for query_id in self._all}
        self._collection = collection
        self._candidates = candidates
        self._encoder = encoder
        self._seed = seed
        self._folder = folder
        self._bf16 = bf16
        self._signs: DevSigns | None = None

    def evaluation(self, model: PreTrainedModel, step: int) -> dict[str, float]:
        """What the sample says of the model at `step` (see `DevSigns`); its scores are kept."""
        run = self._score_sample(model, str(step))
        if self._signs is None:
            self._signs = DevSigns(self._qrels, self._per_query, self._seed)
            steps = sorted(int(path.stem) for path in self._folder.glob("*.trec") if path.stem.isdigit())
            for before in (earlier for earlier in steps if earlier < step):  # of the training that goes on
                kept = read_run(self._path(str(before)))
                self._signs.after({query_id: kept.get(query_id, {}) for query_id in self.sample})
        return self._signs.after(run)

    def sample_ndcg(self, model: PreTrainedModel, name: str) -> float:
        """nDCG@10 on the sample; its scores are kept under `name`."""
        return self._mean(self._score_sample(model, name))

    def base(self, model: PreTrainedModel, folder: Path) -> float:
        """nDCG@10 on the verdict's queries of the base that was loaded from `folder`, before training: by its
        head, or by the cosine of its vectors where it has none."""
        kept = self._folder / "base.json"
        if not kept.is_file():
            from crosstune.train.bi_encoder import cosine_run

            if has_ranking_head(folder):
                model.to(device())
                run = self._score(model, self._all)
            else:
                longest, label = self._encoder.rule.max_tokens, "dev by the base's vectors"
                texts = (self._collection.queries, self._collection.passages)
                run = cosine_run(folder, longest, self._all, *texts, label).run
            write_json(kept, {MEASURE: self._mean(run)})
        return float(read_json(kept)[MEASURE])

    def logits(self, model: PreTrainedModel, name: str) -> Run:
        """The fp32 logits of the verdict's queries by the model whose scores of the sample lie under `name`:
        where these are fp32 too, they are not computed again."""
        if self._bf16:
            return self._score(model.eval(), self._all)
        kept = read_run(self._path(name))
        more = {query_id: scores for query_id, scores in self._all.items() if query_id not in self.sample}
        scored = self._score(model.eval(), more)
        return {query_id: kept.get(query_id, {}) for query_id in self.sample} | scored

    def verdict(self, logits: Run, base: float) -> tuple[FusionTrial, DevVerdict]:
        """What dev says of the tuned model's `logits`, alone and together with the first stage's scores."""
        trial = try_fusion(self._qrels, logits, self._candidates, self._seed)
        ndcg = {
            "first_stage": self._mean(self._all),
            "base": base,
            "tuned": trial.tuned,
            "fused": trial.fused if trial.kept else None,
        }
        measured = {system: value for system, value in ndcg.items() if value is not None}
        verdict = DevVerdict(ndcg, max(measured, key=measured.__getitem__))
        _show(trial, verdict)
        return trial, verdict

    def _score_sample(self, model: PreTrainedModel, name: str) -> Run:
        run = self._score(model, self.sample, bf16=self._bf16)
        write_run(self._path(name), run, "crosstune-dev")
        return run

    def _score(self, model: PreTrainedModel, candidates: Run, *, bf16: bool = False) -> Run:
        from crosstune.train.precision import in_fp32, layers_in_bf16
        from crosstune.train.scoring import score_run

        queries, passages = self._collection.queries, self._collection.passages
        with in_fp32(model), layers_in_bf16(model) if bf16 else nullcontext():
            return score_run(model, self._encoder, candidates, queries, passages, "dev, queries").run

    def _mean(self, run: Run) -> float:
        return mean(self._per_query(run))

    def _per_query(self, run: Run) -> dict[str, float]:
        judged = {query_id: self._qrels[query_id] for query_id in run}
        return per_query(judged, run, [MEASURE])[MEASURE]

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.trec"


def _show(trial: FusionTrial, verdict: DevVerdict) -> None:
    if trial.kept:
        outcome = "kept"
    elif trial.fused <= trial.tuned:
        outcome = "left out, it is no better"
    else:
        outcome = f"left out, since p < {SIGNIFICANT} is asked"
    say(
        f"  dev nDCG@10 of the tuned model {trial.tuned:.4f}; fused with the first stage {trial.fused:.4f} "
        f"(cross-validated, p = {trial.p:.2g}; weight {trial.weight:.2f}): {outcome}"
    )
    say(f"  {dev_line(verdict.ndcg, verdict.best)}")
