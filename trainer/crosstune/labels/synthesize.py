"""`crosstune synthesize`: from passages to queries, in a collection that says where each is from."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosstune.data import FirstStageSettings, SplitRule, check_searchable
from crosstune.data.readers.ids import content_id
from crosstune.data.readers.records import Judgement, Query
from crosstune.data.splits import divide
from crosstune.data.store import open_store
from crosstune.errors import CheckFailed, InputError
from crosstune.label_sources import GENERATED
from crosstune.labels.filters import REASONS, Draft, ask_teacher, drop_known, round_trip
from crosstune.labels.folder import (
    Labelled,
    NewLabel,
    NewQuery,
    counts_line,
    shown_counts,
    write_labelled,
)
from crosstune.labels.passages import Chosen, choose_passages
from crosstune.labels.plan import Plan
from crosstune.labels.teacher import check_teacher, open_teacher
from crosstune.labels.writers import ChatWriter, Seq2SeqWriter, Written, settings_of
from crosstune.progress import say
from crosstune.records import SPLITS, Split

RECORD = "synthesis.jsonl"


@dataclass(frozen=True)
class Choices:
    """What the words of the command line ask for. `passages`: drawn, all when None; `evaluation_passages`:
    whether those that dev or test judges relevant may be among them; `round_trip`: best ranks, 0 for no such
    filter; `rule`: shares of the generated queries that go to dev and test."""

    passages: int | None
    evaluation_passages: bool
    first_stage: FirstStageSettings
    round_trip: int
    teacher: str | None
    teacher_least: float
    rule: SplitRule
    seed: int


@dataclass(frozen=True)
class Synthesis:
    """`passages`: by what became of them; `queries`: written ones by what became of them, `kept` or the
    reason; `labels`: split -> source -> judgements; `spent`: on an endpoint's answers."""

    out: str
    generator: str
    passages: dict[str, int]
    queries: dict[str, int]
    labels: dict[str, dict[str, int]]
    spent: dict[str, Any]


def synthesize(
    source: Labelled, out: Path, writer: Seq2SeqWriter | ChatWriter, choices: Choices
) -> Synthesis:
    """Writes the collection `out`: that of `source` with the generated queries and their judgements.

    Raises `InputError` for what cannot be asked, and `CheckFailed` when no query is left; nothing is written
    then, and answers are kept for the next call.
    """
    check(choices)
    collection = source.collection
    chosen = _choose(source, choices)
    of = f"{len(chosen.doc_ids)} of {len(collection.passages)} passages"
    say(f"{of}; left out: {shown_counts(chosen.left_out)}")
    written = writer.write(_texts(source, chosen))
    say(f"{writer.generator}: passages {shown_counts(written.counts)}{_cost(written)}")
    drafts = [
        Draft(doc_id, f"gen-{content_id(query)}", query)
        for doc_id in chosen.doc_ids
        for query in written.queries.get(doc_id, ())
    ]
    _filter(drafts, source, choices)
    counts = Counter({"written": len(drafts), "kept": 0, **dict.fromkeys(REASONS, 0)})
    counts.update(draft.reason or "kept" for draft in drafts)
    say(f"queries {shown_counts(counts)}")
    kept = [draft for draft in drafts if draft.reason is None]
    if not kept:
        raise CheckFailed(
            f"none of {len(drafts)} queries is left ({shown_counts(counts)}); nothing was written. Loosen "
            "--round-trip or --teacher-score, or look at what the model writes with --round-trip 0"
        )
    splits = _splits(kept, choices.rule)
    queries = {draft.query_id: NewQuery(draft.query_id, draft.text, writer.generator) for draft in kept}
    labels = [NewLabel(splits[d.query_id], d.query_id, d.doc_id, 1, writer.generator) for d in kept]
    passages = {"of": len(collection.passages), **chosen.left_out, **written.counts}
    about = {"generator": writer.generator, "passages": passages, "queries": dict(counts)}
    found = write_labelled(
        source, out, list(queries.values()), labels,
        {"synthesis": about | settings_of(writer)},
        (RECORD, [_row(draft, splits, writer.generator) for draft in drafts]),
    )  # fmt: skip
    say(counts_line(found))
    return Synthesis(str(out), writer.generator, passages, dict(counts), found, written.spent)


def plan(source: Labelled, writer: ChatWriter, choices: Choices) -> Plan:
    """What `synthesize` would ask an endpoint for. Raises what it raises before it asks."""
    check(choices)
    return writer.plan(_texts(source, _choose(source, choices)))


def check(choices: Choices) -> None:
    """Raises `InputError`, before anything is paid, for filters that cannot work."""
    if choices.round_trip:
        check_searchable(choices.first_stage)
    if choices.teacher is not None:
        check_teacher(choices.teacher, "--teacher")


def _choose(source: Labelled, choices: Choices) -> Chosen:
    chosen = choose_passages(source, choices.passages, choices.seed, evaluation=choices.evaluation_passages)
    if not chosen.doc_ids:
        raise InputError(f"{source.path}: no passage to write queries for ({shown_counts(chosen.left_out)})")
    return chosen


def _texts(source: Labelled, chosen: Chosen) -> list[tuple[str, str]]:
    return [(doc_id, source.collection.passages[doc_id]) for doc_id in chosen.doc_ids]


def _filter(drafts: Sequence[Draft], source: Labelled, choices: Choices) -> None:
    collection = source.collection
    rule = choices.rule
    evaluated: tuple[Split, ...] = SPLITS if rule.dev or rule.test else ("dev", "test")
    judged = [query_id for split in evaluated for query_id in collection.qrels.get(split, {})]
    drop_known(drafts, collection.queries, {query_id: collection.queries[query_id] for query_id in judged})
    if choices.round_trip:
        round_trip(drafts, collection, choices.first_stage, choices.round_trip)
    if choices.teacher is not None:
        with open_teacher(choices.teacher, choices.seed, "--teacher") as teacher:
            ask_teacher(drafts, collection.passages, teacher, choices.teacher_least)


def _splits(kept: Sequence[Draft], rule: SplitRule) -> dict[str, Split]:
    """Query id -> its split: all are of train, unless shares go to dev and test, of which no query nearly
    equals one of another split or shares its passage. Raises `InputError` when there are too few."""
    if not rule.dev and not rule.test:
        return {draft.query_id: "train" for draft in kept}
    with (
        tempfile.TemporaryDirectory(prefix="crosstune-") as scratch,
        open_store(Path(scratch) / "queries.sqlite", keep_rows=False) as store,
    ):
        for query_id, text in {draft.query_id: draft.text for draft in kept}.items():
            store.add(Query(query_id, text, query_id))
        for draft in kept:
            store.add(Judgement(draft.query_id, draft.doc_id, 1, draft.query_id))
        divide(store, rule)
        return dict(store.ask("SELECT query, split FROM judgements"))  # type: ignore[arg-type]


def _row(draft: Draft, splits: dict[str, Split], generator: str) -> dict[str, Any]:
    split = splits[draft.query_id] if draft.reason is None else None
    return asdict(draft) | {"split": split, "source": GENERATED, "generator": generator}


def _cost(written: Written) -> str:
    spent = written.spent
    if not spent:
        return ""
    price = f", price {spent['cost']:.4f}" if spent["cost"] is not None else ""
    guessed = f" ({spent['estimated']} answers without counts: estimated)" if spent["estimated"] else ""
    return f"; {spent['input_tokens']} tokens sent, {spent['output_tokens']} received{guessed}{price}"
