"""Reading a BEIR folder, with an error that names file and line for whatever cannot be used."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_jsonl, read_lines
from crosstune.records import SPLITS, Collection, Qrels, Split

LONG_DOCUMENT_CHARACTERS = 1_000_000


def prepare_collection(spec: str, folder: Path) -> Path:
    """The BEIR folder behind `stdlib` (built into `folder`) or `beir:PATH` (used where it is)."""
    kind, _, name = spec.partition(":")
    if spec == "stdlib":
        from crosstune.data.stdlib import build_stdlib

        build_stdlib(folder)
        return folder
    if kind == "beir" and name:
        return Path(name).expanduser()
    raise InputError(f"collection {spec!r} is not known; give stdlib or beir:PATH")


def read_collection(folder: Path) -> Collection:
    """Reads `corpus.jsonl`, `queries.jsonl` and the `qrels/*.tsv` that are there.

    A passage is title and text joined by a space. What cannot be used but does no harm (judgements of
    unknown ids, queries without positives, empty texts) is counted in `counts`. Raises `InputError`
    for the rest: a missing file, invalid JSON or UTF-8, a duplicate id, a grade that is no integer.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; a BEIR folder (corpus.jsonl, queries.jsonl, qrels/) was expected"
        )
    counts: Counter[str] = Counter()
    passages = _texts(folder / "corpus.jsonl", "document", counts)
    queries = _texts(folder / "queries.jsonl", "query", counts)
    qrels: dict[Split, Qrels] = {}
    for split in SPLITS:
        path = folder / "qrels" / f"{split}.tsv"
        if path.exists():
            qrels[split] = _qrels(path, queries, passages, counts)
    if not qrels:
        raise InputError(f"{folder / 'qrels'}: none of train.tsv, dev.tsv and test.tsv is there")
    return Collection(folder.name, passages, queries, qrels, dict(counts))


def _texts(path: Path, kind: str, counts: Counter[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, row in read_jsonl(path):
        identifier, text, title = row.get("_id"), row.get("text"), row.get("title") or ""
        if not isinstance(identifier, str) or not identifier or len(identifier.split()) != 1:
            raise InputError(
                f'{path}:{number}: "_id" is {identifier!r}; a string without spaces was expected'
            )
        if not isinstance(text, str) or not isinstance(title, str):
            found = "missing" if "text" not in row else f"{type(text).__name__}"
            raise InputError(f'{path}:{number}: "text" (or "title") is no string: text is {found}')
        if identifier in lines:
            raise InputError(
                f"{path}:{number}: id {identifier!r} is already on line {lines[identifier]}; ids are unique"
            )
        lines[identifier] = number
        texts[identifier] = f"{title} {text}".strip()
        if not _encodable(identifier + texts[identifier]):
            raise InputError(
                f"{path}:{number}: holds half of a surrogate pair (\\ud800 to \\udfff), which no UTF-8 text "
                "can; the tool that wrote it cut a text inside a character. Remove or repair it"
            )
        if not texts[identifier]:
            counts[f"empty_{kind}"] += 1
        if len(text) > LONG_DOCUMENT_CHARACTERS:
            counts[f"{kind}_over_1_MB"] += 1
    if not texts:
        raise InputError(f"{path}: is empty; one JSON object with _id and text a line was expected")
    return texts


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _qrels(path: Path, queries: dict[str, str], passages: dict[str, str], counts: Counter[str]) -> Qrels:
    qrels: Qrels = {}
    unknown: Counter[str] = Counter()
    for number, line in read_lines(path):
        columns = line.split("\t")
        if not line.strip() or (number == 1 and columns[0] == "query-id"):
            continue
        if len(columns) != 3:
            raise InputError(
                f"{path}:{number}: found {len(columns)} tab-separated columns; query-id, corpus-id and score "
                "were expected" + (" (a TREC qrels file has 4)" if len(line.split()) == 4 else "")
            )
        query_id, doc_id, text = (column.strip() for column in columns)
        try:
            grade = int(text)
        except ValueError:
            raise InputError(f"{path}:{number}: grade {text!r} is not an integer") from None
        if query_id not in queries:
            unknown["unknown_query"] += 1
        elif doc_id not in passages:
            unknown["unknown_document"] += 1
        elif qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise InputError(
                f"{path}:{number}: query {query_id!r} and document {doc_id!r} are judged twice, "
                f"{qrels[query_id][doc_id]} and {grade}"
            )
    for reason, count in unknown.items():
        counts[f"{path.stem}_judgements_of_{reason}"] = count
    if not qrels:
        raise InputError(
            f"{path}: no judgement is left ({unknown['unknown_query']} name queries that are not in "
            f"queries.jsonl, {unknown['unknown_document']} documents that are not in corpus.jsonl); "
            "check that the ids of all files are of one collection"
        )
    without = sum(all(grade <= 0 for grade in judged.values()) for judged in qrels.values())
    if without:
        counts[f"{path.stem}_queries_without_positive"] = without
    return qrels
