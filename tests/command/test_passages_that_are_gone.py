"""A query whose judged passages are all missing from the corpus counts 0 for every system."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from conftest import COUNTS, Crosstune


def test_a_query_whose_judged_passage_is_not_in_the_corpus_counts_0(
    tmp_path: Path, recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    for split in COUNTS:
        path = collection / "qrels" / f"{split}.tsv"
        *lines, last = path.read_text().splitlines()
        query_id, _, grade = last.split("\t")
        path.write_text("\n".join([*lines, f"{query_id}\tgone\t{grade}"]) + "\n")
    done = crosstune("run", recipe)
    assert done.code == 0, done.err
    for split in COUNTS:
        assert f"{split} queries without judged passage: 1" in done.err
    assert "1 judged train queries have no positive in the corpus" in done.err
    root = tmp_path / "runs" / "tiny"
    metrics = json.loads((root / "evaluate" / "metrics.json").read_text())
    assert (metrics["queries"], metrics["queries_without_positive"]) == (COUNTS["test"], 1)
    with (root / "evaluate" / "per_query.csv").open() as handle:
        rows = {row.pop("query_id"): row for row in csv.DictReader(handle)}
    assert len(rows) == COUNTS["test"] and rows[query_id].pop("positives") == "0"
    assert rows[query_id].pop("split") == "test"
    assert {float(value) for value in rows[query_id].values()} == {0.0}
    assert "1 have none judged relevant" in (root / "evaluate" / "report.html").read_text()

    again = json.loads(crosstune("evaluate", root, "--json").out)
    assert (again["queries"], again["queries_without_positive"]) == (COUNTS["test"], 1)
    for system in ("first_stage", "tuned", "ceiling"):
        mean = metrics["splits"]["test"][system]["nDCG@10"]
        assert abs(again["splits"]["test"][system]["nDCG@10"] - mean) < 1e-6
    told = crosstune("report", root)
    assert told.code == 0, told.err
