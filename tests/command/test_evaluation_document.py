"""docs/evaluation.md: its table is recomputed by trec_eval and by its own commands; its options exist."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import pytrec_eval

from commands import help_of
from crosstune.trec import read_qrels, read_run

TEXT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w.]+)`:\n\n```text\n(.*?)```", TEXT, flags=re.DOTALL))
(EXAMPLE,) = re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)
TREC = {"trec_eval recip_rank": "recip_rank", "trec_eval ndcg_cut_10": "ndcg_cut_10"}
OURS = {f"crosstune {name}": f"run {name}" for name in ("RR", "RR@10", "nDCG@10")}
MS_MARCO = "MS MARCO MRR@10"

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"

Row = dict[str, str]


def test_what_it_prints_of_the_quickstart_is_of_the_recipe_as_it_is() -> None:
    (queries,) = re.findall(r"test_queries: (\d+)", RECIPE.read_text())
    assert re.findall(r"^    (\d+) judged queries", TEXT, flags=re.MULTILINE) == [queries] * 2
    (readme,) = re.findall(
        r"gain over the first stage: (\S+) nDCG@10", (RECIPE.parents[1] / "README.md").read_text()
    )
    assert readme in re.findall(r"^    nDCG@10 +(\S+) ", TEXT, flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The document's files, and what its commands write beside them."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    command = f'set -e\ncrosstune() {{ "{sys.executable}" -m crosstune.cli "$@"; }}\n{EXAMPLE}'
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env=os.environ, check=True, capture_output=True)
    return tmp_path


def _table() -> tuple[list[Row], Row]:
    """The rows of the queries, and that of the mean."""
    lines = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
    start = next(n for n, cells in enumerate(lines) if cells[0] == "query")
    rows = [dict(zip(lines[start], cells, strict=False)) for cells in lines[start + 1 : start + 10]]
    return rows[:-1], rows[-1]


def test_the_table_has_every_judged_query() -> None:
    rows, mean = _table()
    judged = {line.split()[0] for line in FILES["qrels.txt"].splitlines()}
    assert [row["query"] for row in rows] == sorted(judged)
    assert set(mean) == {"query", "what it shows", MS_MARCO, *TREC, *OURS}


def test_its_columns_of_trec_eval(folder: Path) -> None:
    qrels, run = read_qrels(folder / "qrels.txt"), read_run(folder / "run.trec")
    values = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank", "ndcg_cut.10"}).evaluate(run)
    rows, mean = _table()
    for column, name in TREC.items():
        for row in rows:
            query = row["query"]
            assert row[column] == (f"{values[query][name]:.4f}" if query in values else "-"), (query, column)
        assert mean[column] == f"{sum(v[name] for v in values.values()) / len(qrels):.4f}"
    without_c = sum(v["recip_rank"] for v in values.values()) / len(values)
    assert f"recip_rank {without_c:.4f}" in TEXT


def test_its_columns_of_crosstune_and_ms_marco(folder: Path) -> None:
    with (folder / "result" / "per_query.csv").open(newline="") as handle:
        ours = {row["query_id"]: row for row in csv.DictReader(handle)}
    means = json.loads((folder / "result" / "metrics.json").read_text())["splits"]["run"]["run"]
    official = json.loads((folder / "msmarco.json").read_text())
    rows, mean = _table()
    for row in rows:
        assert row[MS_MARCO] == f"{official['per_query'][row['query']]:.4f}"
        for column, name in OURS.items():
            assert row[column] == f"{float(ours[row['query']][name]):.4f}", (row["query"], column)
    assert mean[MS_MARCO] == f"{official[MS_MARCO]:.4f}"
    for column in OURS:
        assert mean[column] == f"{means[column.removeprefix('crosstune ')]:.4f}"


def test_the_options_that_it_names_exist() -> None:
    shown = help_of("evaluate", "compare", "gate", "plan")
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert len(options) > 15
    for option in options:
        assert option in shown, option
