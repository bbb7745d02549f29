"""`sources.tsv`: what it may say, and that no reader passes over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import write_collection

from crosstune.data import convert, read_collection
from crosstune.errors import InputError
from crosstune.label_sources import LabelSource, folder_sources, source_lines, warn_generated

HEADER = "split\tquery-id\tcorpus-id\tsource\tgenerator\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two judgements that no person made, and one of nothing."""
    made = write_collection(tmp_path / "in")
    (made / "sources.tsv").write_text(
        f"{HEADER}train\tq0\td0\tgenerated\tm\ntest\tq28\td28\tgenerated\tm\ntrain\tq1\td1\thuman\t\n"
        "dev\tnone\td1\tgenerated\tm\n"
    )
    return made


def test_a_collection_counts_what_no_person_made(folder: Path) -> None:
    assert read_collection(folder).counts == {
        "train_judgements_generated": 1,
        "test_judgements_generated": 1,
        "sources_of_unknown_judgements": 1,
    }


def test_a_conversion_keeps_it(folder: Path, tmp_path: Path) -> None:
    met = convert(str(folder), tmp_path / "out").met
    assert met["judgements that are generated"] == 3
    assert (tmp_path / "out/sources.tsv").read_bytes() == (folder / "sources.tsv").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train\tq0\td0\tgenerated\tm\n", r"sources\.tsv:1: found 'train"),
        (f"{HEADER}train\tq0\td0\tgenerated\n", r"sources\.tsv:2: found 4 tab-separated columns"),
        (f"{HEADER}\nvalid\tq0\td0\tgenerated\tm\n", r"sources\.tsv:3: split is 'valid'"),
        (
            f"{HEADER}train\tq0\td0\tmodel\tm\n",
            r"source 'model'; a split of train, dev, test and one",
        ),
    ],
)
def test_what_it_may_not_say(text: str, message: str, folder: Path) -> None:
    (folder / "sources.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_collection(folder)


def test_a_name_cannot_break_a_line(tmp_path: Path) -> None:
    rows = [LabelSource("train", "q", "d", "generated", "a\tb\nc")]
    (tmp_path / "sources.tsv").write_text("".join(source_lines(rows)))
    assert [row.generator for row in folder_sources(tmp_path)] == ["a b c"]


def test_who_measures_is_warned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warn_generated(folder / "qrels/test.tsv")
    assert "warning: 1 judgements of " in capsys.readouterr().err
    warn_generated(folder / "qrels/dev.tsv")  # names a judgement that the file does not have: still said
    assert "warning: 1 judgements of " in capsys.readouterr().err
    (folder / "sources.tsv").unlink()
    warn_generated(folder / "qrels/test.tsv")
    assert capsys.readouterr().err == ""
