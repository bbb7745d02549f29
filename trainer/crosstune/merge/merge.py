"""`crosstune merge`: both ends in, every alpha scored on two dev splits, the chosen weights out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.data import Probe, ProbeSettings
from crosstune.device import device
from crosstune.errors import InputError
from crosstune.evaluate import mean, per_query
from crosstune.files import read_json, replace_folder, write_json, write_text
from crosstune.fingerprints import code_version, fingerprint
from crosstune.merge.choose import DOMAINS, MEASURE, RULE, chosen, differences, points
from crosstune.merge.inputs import Inputs, Request, open_inputs
from crosstune.merge.page import render_merge
from crosstune.merge.weights import check_mergeable, load_ends
from crosstune.progress import say
from crosstune.recipe import Recipe, dump_recipe
from crosstune.records import Run
from crosstune.run import RunFolder
from crosstune.serve.pairs import PairEncoder
from crosstune.stage_copies import take_stages
from crosstune.stage_inputs import model_digest
from crosstune.train import AdaptSettings
from crosstune.train.blend import blend
from crosstune.train.layers import with_layers
from crosstune.train.saving import copy_tokenizer
from crosstune.train.scoring import score_run
from crosstune.train.zero import leaves_zero_open, offset_to_share, shift_head
from crosstune.trec import read_run, write_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SCHEMA = 1
MODEL, RESULT, PAGE, RECIPE = "model", "merge.json", "merge.html", "recipe.yaml"


@dataclass(frozen=True)
class Merged:
    """`result`: what `merge.json` in `folder` holds; `runnable`: whether the folder is a run folder, in which
    the stages after training can follow."""

    folder: Path
    result: dict[str, Any]
    runnable: bool


def merge(request: Request) -> Merged:
    """Weights `(1 - alpha) x base + alpha x tuned` (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903) for
    every alpha, and the one that `RULE` chooses as a model folder, with `merge.json` and `merge.html`.

    Test splits are never read. What was scored lies beside the output until the end, so that the same words
    go on after a kill. Raises `InputError` for models that are not of one kind, for a collection without dev
    split and where something else stands at the output.
    """
    inputs = open_inputs(request)
    key = _key(inputs)
    if (done := _done(inputs, key, request)) is not None:
        say(f"{inputs.out}: up to date")
        return done
    if not inputs.own:
        check_mergeable(inputs.base, inputs.tuned)
    work = _work_folder(inputs.out, key)
    base = inputs.base
    if inputs.layers is not None:
        base = with_layers(base, inputs.layers, inputs.rule, inputs.seed, work)
    start, model = load_ends(base, inputs.tuned, inputs.rule, inputs.seed)
    model.to(device())
    ends = start.state_dict(), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    encoder = PairEncoder.from_folder(inputs.tuned, inputs.rule)
    domains = {"domain": inputs.domain, "probe": inputs.probe}
    runs: dict[str, dict[float, Run]] = {name: {} for name in DOMAINS}
    for alpha in request.alphas:
        blend(model, *ends, alpha)
        for name, lists in domains.items():
            runs[name][alpha] = _scored(model, encoder, lists, alpha, work / f"{name}.{alpha:g}.trec")
        shown = ", ".join(f"{name} {mean(_values(domains[name], runs[name][alpha])):.4f}" for name in DOMAINS)
        say(f"  alpha {alpha:g}: dev {MEASURE} {shown}")
    values = {
        name: {alpha: _values(domains[name], run) for alpha, run in runs[name].items()} for name in DOMAINS
    }
    curve = points(values, request.seed, request.resamples)
    best = chosen(curve)
    blend(model, *ends, best.alpha)
    if inputs.recipe is not None and leaves_zero_open(inputs.recipe.train.loss):
        shift_head(model, offset_to_share(runs["domain"][best.alpha], inputs.domain.qrels))
    result = {
        "schema": SCHEMA,
        "key": key,
        "base": str(inputs.base),
        "tuned": str(inputs.tuned),
        "measure": MEASURE,
        "rule": RULE,
        "alpha": best.alpha,
        "alphas": request.alphas,
        **{name: _about(domains[name]) for name in DOMAINS},
        "curve": [asdict(point) for point in curve],
        "seed": request.seed,
        "resamples": request.resamples,
        "differences": differences(values, best.alpha, request.seed, request.resamples),
    }
    _write(model, inputs, result, work)
    return Merged(inputs.out, result, inputs.recipe is not None)


def _key(inputs: Inputs) -> str:
    return fingerprint(
        [model_digest(str(folder)) for folder in (inputs.base, inputs.tuned)],
        [asdict(inputs.rule), inputs.seed, code_version(("merge", "train", "serve", "evaluate"))],
        [[lists.name, lists.qrels, lists.candidates] for lists in (inputs.domain, inputs.probe)],
    )


def _done(inputs: Inputs, key: str, request: Request) -> Merged | None:
    if not inputs.out.exists():
        return None
    found = read_json(inputs.out / RESULT) if (inputs.out / RESULT).is_file() else {}
    asked = {"key": key, "alphas": request.alphas, "seed": request.seed, "resamples": request.resamples}
    if {name: found.get(name) for name in asked} == asked:
        return Merged(inputs.out, found, inputs.recipe is not None)
    what = "something that merge did not write"
    if found:
        what = "the merge of other models, queries or alphas, or with another seed or number of resamples"
    raise InputError(f"{inputs.out}: holds {what}; name another folder with --out, or delete it")


def _work_folder(out: Path, key: str) -> Path:
    """Where the scores lie until the end; emptied where they are of another merge."""
    work = out.with_name(f".{out.name}.partial")
    if work.is_dir() and not (work / key).exists():
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    (work / key).touch()
    return work


def _scored(model: PreTrainedModel, encoder: PairEncoder, lists: Probe, alpha: float, kept: Path) -> Run:
    """The run of `lists`, from the file where an interrupted call has kept it."""
    if not kept.is_file():
        label = f"alpha {alpha:g}, {lists.name}, queries"
        run = score_run(model, encoder, lists.candidates, lists.queries, lists.passages, label).run
        write_run(kept, run, "crosstune-merge")
    return read_run(kept)


def _values(lists: Probe, run: Run) -> dict[str, float]:
    return per_query(lists.qrels, run, [MEASURE])[MEASURE]


def _about(lists: Probe) -> dict[str, Any]:
    first = mean(_values(lists, lists.candidates))
    return {"collection": lists.name, "split": lists.split, "queries": len(lists.qrels), "first_stage": first}


def _write(model: PreTrainedModel, inputs: Inputs, result: Mapping[str, Any], work: Path) -> None:
    """Everything into a folder beside the output, then in one move to it."""
    staging = work / "out"
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging / MODEL)
    copy_tokenizer(inputs.tuned, staging / MODEL)
    write_json(staging / RESULT, result)
    write_text(staging / PAGE, render_merge(result))
    if inputs.recipe is not None and inputs.run is not None:
        write_text(staging / RECIPE, dump_recipe(_recipe(inputs.recipe, inputs)))
        take_stages(inputs.run, RunFolder(staging), ("collection", "retrieve", "mine"))
    replace_folder(staging, inputs.out)
    shutil.rmtree(work)


def _recipe(recipe: Recipe, inputs: Inputs) -> Recipe:
    """That of the run, with the merged model in the place of a training."""
    probe = recipe.probe
    if inputs.probe.name != probe.collection:
        probe = ProbeSettings(collection=inputs.probe.name)
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-merged",
            "adapt": AdaptSettings(),
            "curve": False,
            "tuned": str((inputs.out / MODEL).resolve()),
            "probe": probe,
        }
    )
