"""What `crosstune inspect` does: the story of one query of a run, or the audit of a run or a collection."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.errors import InputError
from crosstune.files import find_file, write_json, write_text
from crosstune.progress import say
from crosstune.recipe import Recipe, load_collection_recipe
from crosstune.records import SPLITS, Collection, Run
from crosstune.run import RunFolder
from crosstune.trec import read_run

if TYPE_CHECKING:
    from crosstune.data.audit import Audit
    from crosstune.data.mining.story import Seen


def story(root: Path, query_id: str, *, as_json: bool) -> str:
    """The text to print. Raises `InputError` for a folder that is no run, a run that was not mined, and an
    unknown query."""
    from crosstune.data.mining.story import query_story

    folder = RunFolder(root)
    told = query_story(run_collection(folder), folder.ledger, query_id)
    if as_json:
        return json.dumps(asdict(told), ensure_ascii=False)
    lines = [f"{told.query_id}  {told.query}", "", "positives"]
    for positive in told.positives:
        rank = "not retrieved" if positive.rank is None else f"rank {positive.rank}"
        lines.append(f"  {positive.doc_id}  grade {positive.grade}, {rank}  {positive.text}")
    names = list(told.candidates[0].further)
    others = "".join(f"{f'{name} rank':>16} {'score':>8} " for name in names)
    lines += [
        "",
        f"{'rank':>6} {'score':>8} {others}{'teacher':>8} {'model':>8} {'similar':>8}  {'reason':<16} "
        "document",
    ]
    lines += [_candidate(seen) for seen in told.candidates]
    return "\n".join(lines)


def _candidate(seen: Seen) -> str:
    places = seen.further.values()
    drawn = seen.rank is None and all(place["rank"] is None for place in places)
    others = "".join(f"{place['rank'] or '–':>16} {_number(place['score'])} " for place in places)
    return (
        f"{'random' if drawn else seen.rank or '–':>6} {_number(seen.score)} {others}"
        f"{_number(seen.teacher_score)} {_number(seen.model_score)} {_number(seen.similarity)}  "
        f"{seen.reason.replace('_', ' '):<16} {seen.doc_id}  {seen.text}"
    )


def audit(target: Path, out: Path | None, *, as_json: bool) -> str:
    """Writes `audit.html` and `audit.json` and returns the text to print.

    `target` is a run folder that was mined, or a BEIR folder: this one is retrieved and mined first, with the
    settings of the recipe `domain` and in a temporary folder. Raises `InputError` for anything else.
    """
    if find_file(target / "corpus.jsonl").is_file():
        found, default = _audit_collection(target), Path("runs") / f"audit-{target.resolve().name}"
    else:
        folder = RunFolder(target)
        if not folder.source.is_file():
            raise InputError(_neither(target))
        collection = run_collection(folder)
        recipe = load_collection_recipe(str(folder.recipe))
        found, default = _audit(collection, recipe, folder.stage("retrieve"), folder.ledger), folder.audit
    out = out or default
    write_json(out / "audit.json", asdict(found))
    from crosstune.data.audit import render_audit

    write_text(out / "audit.html", render_audit(found))
    say(f"written to {out / 'audit.html'} and {out / 'audit.json'}")
    if as_json:
        return json.dumps(asdict(found), ensure_ascii=False)
    return (
        "\n".join(f"- {sentence}" for sentence in found.advice) or "nothing was found that asks for a change"
    )


def _neither(target: Path) -> str:
    """The message for what is no run folder and no BEIR folder."""
    from crosstune.data.readers import FORMATS

    kind, _, where = str(target).partition(":")
    if where and kind in (*FORMATS, "auto"):
        found = "a source that crosstune convert reads"
    elif not target.exists():
        return f"{target}: no such file or folder; a run folder or a BEIR folder was expected"
    elif target.is_file():
        found = "a file"
    else:
        found = (
            "no run folder, or one that was stopped at its start (start it again), and no BEIR folder "
            "(corpus.jsonl is missing)"
        )
    return (
        f"{target}: is {found}; a run folder or a BEIR folder was expected. Make one of any other format: "
        f"crosstune convert {shlex.quote(str(target))} FOLDER, then crosstune inspect FOLDER"
    )


def _audit_collection(path: Path) -> Audit:
    from crosstune.data import mine, read_collection, retrieve
    from crosstune.data.mining import LEDGER

    collection = read_collection(path)
    recipe = load_collection_recipe("domain", [f"collection=beir:{path}"])
    unmined = "there is no train split" if "train" not in collection.qrels else ""
    with tempfile.TemporaryDirectory(prefix="crosstune-audit-") as name:
        folder = Path(name)
        retrieve(collection, recipe.first_stage, folder)
        if not unmined:
            try:
                mine(collection, read_run(folder / "train.trec"), recipe.mine, recipe.seed, folder)
            except InputError as error:
                unmined = str(error)
        found = _audit(collection, recipe, folder, folder / LEDGER)
    if not unmined:
        return found
    say(f"  audited without mining: {unmined}")
    told = (
        f"The recipe domain mines nothing here, so that no likely false negative can be named: {unmined}. "
        "Change that in a recipe of your own, and inspect its run."
    )
    return replace(found, advice=[*found.advice, told])


def _audit(collection: Collection, recipe: Recipe, runs: Path, ledger: Path) -> Audit:
    from crosstune.data import read_ledger
    from crosstune.data.audit import audit
    from crosstune.parts import parts
    from crosstune.serve.pairs import PairEncoder
    from crosstune.train import resolve_model

    rule = recipe.train.length_rule
    encoder = PairEncoder.from_folder(resolve_model(recipe.model), rule)

    def tokens(texts: Sequence[str]) -> list[int]:
        return [
            len(encoding.ids) for part in parts(map(len, texts)) for encoding in encoder.words(texts[part])
        ]

    found: dict[str, Run] = {
        split: read_run(path) for split in SPLITS if (path := runs / f"{split}.trec").is_file()
    }
    rows: Iterable[Mapping[str, Any]] = read_ledger(ledger) if ledger.is_file() else []
    return audit(collection, found, rows, tokens, rule)


def run_collection(folder: RunFolder) -> Collection:
    """The collection that a run was made from."""
    from crosstune.data import read_collection

    if not folder.root.is_dir():
        raise InputError(f"{folder.root}: no such folder; a run folder was expected")
    if not folder.source.is_file():
        raise InputError(
            f"{folder.root}: is no run folder, or was stopped at its start ({folder.source.name} is "
            "missing); run crosstune run or crosstune mine first"
        )
    if not folder.ledger.is_file():
        raise InputError(f"{folder.ledger}: no such file: mining has not ended in this run; start it again")
    return read_collection(folder.collection_folder())


def _number(value: float | None) -> str:
    return f"{'–':>8}" if value is None else f"{value:8.3f}"
