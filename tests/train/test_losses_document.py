"""The table of docs/losses.md is that of the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from crosstune.train.loss_kinds import KINDS
from crosstune.train.losses import LOSSES

ROOT = Path(__file__).parents[2]


def _rows() -> dict[str, list[str]]:
    text = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    table = text.split("| `train.loss` | form |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_every_loss_stands_in_the_table_with_what_it_learns_from_and_its_default() -> None:
    rows = _rows()
    assert next(iter(rows)) == "lce"
    assert set(rows) == set(LOSSES)
    for name, (_, learns_from, when, option, paper) in rows.items():
        kind = KINDS[name]  # type: ignore[index]
        assert learns_from == kind.learns_from
        assert when
        expected = ""
        if kind.option:
            default = inspect.signature(LOSSES[name]).parameters[kind.option].default  # type: ignore[index]
            expected = f"`{kind.option}` {default:g}"
        assert option == expected
        assert paper


def test_the_papers_are_those_of_the_files() -> None:
    for name, row in _rows().items():
        source = Path(inspect.getfile(LOSSES[name])).read_text(encoding="utf-8")  # type: ignore[index]
        for reference in re.findall(r"(?:arXiv|doi):[\w./-]+\w", row[-1]):
            assert reference in source, name
