"""A model that was tuned elsewhere in the place of one that is trained here: dev judges it all the same."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import write_json, write_text
from crosstune.models import has_ranking_head, resolve_model
from crosstune.progress import say
from crosstune.records import Collection, Run
from crosstune.serve.pairs import PairEncoder
from crosstune.train.config import TrainSettings
from crosstune.train.dev import DevJudge
from crosstune.train.group_check import check_dev
from crosstune.train.model import load_cross_encoder, load_scorer
from crosstune.train.saving import save_model
from crosstune.train.train import SUMMARY, TrainSummary, write_verdict

NAME = "taken"


def take_tuned(
    tuned: str,
    collection: Collection,
    dev_candidates: Run,
    model: str,
    settings: TrainSettings,
    seed: int,
    folder: Path,
) -> TrainSummary:
    """Writes what `train` writes but for the doctor's report, with the cross-encoder `tuned`; of `settings`
    the lengths and the dev queries count. `model`: the base that it is compared with.

    Raises `InputError` for a model without a ranking head and a collection without dev split.
    """
    check_dev(collection, dev_candidates)
    rule = settings.length_rule
    base, source = resolve_model(model), resolve_model(tuned)
    if not has_ranking_head(source):
        raise InputError(
            f"tuned: {source} has no ranking head (architectures in config.json); a cross-encoder was "
            "expected. A base to train from is named by model"
        )
    say(f"  {source} is taken as the tuned model; nothing is trained")

    def judge_of(kind: Path) -> DevJudge:
        encoder = PairEncoder.from_folder(kind, rule)
        return DevJudge(collection, dev_candidates, settings, encoder, seed, folder / "dev")

    of_base = judge_of(base).base(load_cross_encoder(base, rule, seed), base)
    judge = judge_of(source)
    network = load_scorer(source, rule, seed)
    ndcg = judge.sample_ndcg(network, NAME)
    verdict = write_verdict(judge, judge.logits(network, NAME), of_base, folder)
    save_model(network, source, folder)
    summary = TrainSummary(
        best_dev_ndcg=ndcg,
        dev=verdict.ndcg,
        best_on_dev=verdict.best,
        best_step=0,
        best_share=1.0,
        steps=0,
        groups=0,
        pairs=0,
        passages_windowed=0,
        passages_cut=0,
        queries=0,
        queries_cut=0,
        seconds=0.0,
        diagnoses=[],
    )
    write_json(folder / SUMMARY, dataclasses.asdict(summary))
    write_text(folder / "train_log.jsonl", "")
    shutil.rmtree(folder / "dev")
    return summary
