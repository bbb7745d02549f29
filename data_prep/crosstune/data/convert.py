"""`crosstune convert`: any input that a reader knows to a BEIR folder or training groups."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from crosstune.data.readers import FORMATS, Reader, Source, open_reader, parse_source, with_options
from crosstune.data.readers.records import show_names
from crosstune.data.splits import SplitRule, divide
from crosstune.data.store import Store, open_store
from crosstune.data.writers import write_beir, write_groups
from crosstune.errors import InputError
from crosstune.files import refuse_pipe, sha256_file, sha256_folder, staged_folder
from crosstune.progress import LINE_EVERY_SECONDS, say

Target = Literal["beir", "groups"]


@dataclass(frozen=True)
class ConvertSummary:
    """What was read and written. `met`: what the input held besides plain records, by name."""

    source: str
    format: str
    target: Target
    passages: int
    queries: int
    judgements: int
    splits: str
    met: dict[str, int]
    written: dict[str, int]
    warnings: list[str] = field(default_factory=list)


def convert(
    spec: str,
    out: Path | None,
    *,
    kind: str | None = None,
    columns: Mapping[str, str] | None = None,
    target: Target = "beir",
    rule: SplitRule | None = None,
    overwrite: bool = False,
    show_texts: bool = True,
) -> ConvertSummary:
    """Reads `spec` whole, shows what it holds, with its first texts where `show_texts`, and writes the
    folder `out`; nothing when `out` is None.

    Raises `InputError` for whatever cannot be used, before anything is in place at `out`.
    """
    source = with_options(parse_source(spec, FORMATS), kind, columns or {})
    if source.kind not in (*FORMATS, "auto"):
        raise InputError(f"format {source.kind!r} is not known; one of {', '.join(FORMATS)}")
    if out is not None:
        check_target(out, source.path, overwrite=overwrite)
    refuse_pipe(source.path)
    reader = open_reader(source)
    say(f"format  {reader.format}")
    say(f"reading {show_names(reader.files)}")
    with (
        _workplace(out) as work,
        open_store(work / ".store.sqlite", keep_rows=target == "groups") as store,
    ):
        if out is not None:  # once more, now that no other command writes it
            check_target(out, source.path, overwrite=overwrite)
        return _convert(reader, source, store, target, rule or SplitRule(), work if out else None, show_texts)


def _convert(
    reader: Reader,
    source: Source,
    store: Store,
    target: Target,
    rule: SplitRule,
    out: Path | None,
    show_texts: bool,
) -> ConvertSummary:
    _load(reader, store)
    _check(source, store)
    if show_texts:
        _show_examples(store)
    warnings = _warnings(reader, store)
    for warning in warnings:
        say(f"note: {warning}")
    splits = divide(store, rule)
    summary = ConvertSummary(
        source=source.where,
        format=reader.format,
        target=target,
        passages=store.number("SELECT count(*) FROM passages"),
        queries=store.number("SELECT count(*) FROM queries"),
        judgements=store.number("SELECT count(*) FROM judgements"),
        splits=splits,
        met={name: count for name, count in store.counts.items() if count},
        written={},
        warnings=warnings,
    )
    _show(summary, store)
    if out is not None:
        about = {key: value for key, value in asdict(summary).items() if key not in ("written", "target")}
        about["sha256"] = source_digest(source)
        write = write_beir if target == "beir" else write_groups
        summary.written.update(write(store, out, about))
        say("written: " + _counts(summary.written))
    return summary


@contextmanager
def _workplace(out: Path | None) -> Iterator[Path]:
    if out is None:
        with TemporaryDirectory(prefix="crosstune-") as folder:
            yield Path(folder)
    else:
        with staged_folder(out) as folder:
            yield folder


def check_target(out: Path, source: Path, *, overwrite: bool) -> None:
    """Raises `InputError` when `out` may not be written: it is there already, or it is or holds the input."""
    if not overwrite and out.exists() and (out.is_file() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; give another folder, or --overwrite to replace it")
    if source.exists() and _within(source, out):
        raise InputError(f"{out}: is, or holds, the input; give another folder")


def _within(path: Path, folder: Path) -> bool:
    path, folder = path.resolve(), folder.resolve()
    return path == folder or folder in path.parents


def _load(reader: Reader, store: Store) -> None:
    last = time.monotonic()
    for number, record in enumerate(reader.records(), start=1):
        store.add(record)
        if number % 1000 == 0 and time.monotonic() - last >= LINE_EVERY_SECONDS:
            last = time.monotonic()
            say(f"  {number} records read")


def _check(source: Source, store: Store) -> None:
    """Counts judgements and candidates of ids that have no text. Raises `InputError` when there is nothing
    else."""
    if not store.number("SELECT count(*) FROM judgements"):
        raise InputError(
            f"{source.where}: holds no judgement: nothing says which passages answer which query"
        )
    for rows in ("judgements", "candidates"):
        count = store.number(f"SELECT count(*) FROM {rows}")
        for table, column in (("queries", "query"), ("passages", "doc")):
            unknown = store.number(
                f"SELECT count(*) FROM {rows} WHERE {column} NOT IN (SELECT id FROM {table})"
            )
            if count and unknown == count:
                hint = "" if rows == "judgements" else ", or take the run out of the folder"
                raise InputError(
                    f"{source.where}: none of the {count} {rows} names one of the {table}; check that the "
                    f"ids of all files are of one collection{hint}"
                )
            store.counts[f"{rows} that name none of the {table} (kept)"] = unknown
    if not store.number("SELECT count(*) FROM (SELECT 1 FROM judgements WHERE grade > 0 LIMIT 1)"):
        raise InputError(f"{source.where}: no judgement is above 0; nothing is relevant to any query")


def _warnings(reader: Reader, store: Store) -> list[str]:
    warnings = list(reader.notes)
    named = store.counts["passages named by their text"]
    if named:
        warnings.append(
            f"the input has no ids for {named} passages: each is named by a hash of its text; equal texts "
            "are one"
        )
    if store.characters["queries"] > store.characters["passages"]:
        warnings.append(
            "suspected: query and passage are swapped, since the queries are longer than their passages; "
            "look at the examples above, and at the column names"
        )
    return warnings


def _show_examples(store: Store) -> None:
    """The first judged queries with a passage, so that a person sees what was understood."""
    rows = store.ask(
        "SELECT j.query, q.text, j.doc, p.text, j.grade FROM judgements j JOIN queries q ON q.id = j.query "
        "JOIN passages p ON p.id = j.doc WHERE j.grade > 0 ORDER BY j.place LIMIT 3"
    )
    for query, text, doc, passage, grade in rows:
        say(f"  query {query}: {_short(text)}")
        say(f"    grade {grade}, passage {doc}: {_short(passage)}")


def _show(summary: ConvertSummary, store: Store) -> None:
    say(
        f"{summary.passages} passages, {summary.queries} queries, {summary.judgements} judgements; "
        f"splits {summary.splits}"
    )
    per_split = store.ask("SELECT split, count(DISTINCT query) FROM judgements GROUP BY split")
    say("judged queries: " + ", ".join(f"{split} {count}" for split, count in per_split))
    if summary.met:
        say(_counts(summary.met))


def _short(text: str) -> str:
    words = " ".join(text[:400].split())
    return f"{words[:100]} ..." if len(words) > 100 else words


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def source_digest(source: Source) -> str:
    """Over the bytes of the source's files, its kind and its column map; a hub name stands for itself."""
    import hashlib

    if source.kind == "ir_datasets":
        from crosstune.data.readers.irds import digest

        content = digest([name for name in source.where.split(",") if name])
    elif source.path.is_dir():
        content = sha256_folder(source.path)
    else:
        content = sha256_file(source.path) if source.path.is_file() else source.where
    return hashlib.sha256(f"{source.kind} {sorted(source.columns.items())} {content}".encode()).hexdigest()
