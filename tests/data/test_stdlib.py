"""The embedded collection: from sources made here, and from the running Python's own library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crosstune.data import build_stdlib, prepare_collection, read_collection
from crosstune.data.stdlib import first_sentence
from crosstune.errors import InputError

SOURCE = '''
import this_must_not_be_imported

class Reader:
    def read(self, path):
        """Read the whole file. More words here."""
        return open(path).read()

    def size(self):
        """Size."""
        return 1

    def same(self):
        """See Reader.read for this one."""
        return 2

    def nothing(self):
        """Only documented, never written."""

async def fetch(url):
    """Fetch the page
    behind a link

    with details.
    """
    return url

def undocumented():
    return 3

def one_line(): "Return a constant number"; return 4
'''


def _library(tmp_path: Path) -> Path:
    library = tmp_path / "lib"
    for name in ("test", "tkinter", "pkg"):
        (library / name).mkdir(parents=True)
        (library / name / "__init__.py").write_text(
            f'def f_{name}():\n    """Do the {name} thing."""\n    return 1\n'
        )
    (library / "reader.py").write_text(SOURCE)
    (library / "broken.py").write_text("def :\n")
    (library / "again.py").write_text('def other():\n    """Read the whole FILE."""\n    return 5\n')
    return library


def test_queries_passages_and_counts(tmp_path: Path) -> None:
    counts = build_stdlib(tmp_path / "out", _library(tmp_path))
    collection = read_collection(tmp_path / "out")
    assert collection.queries == {
        "q:again.other": "Read the whole FILE.",
        "q:pkg.f_pkg": "Do the pkg thing.",
        "q:reader.fetch": "Fetch the page behind a link",
        "q:reader.one_line": "Return a constant number",
    }
    assert collection.passages["reader.fetch"] == "async def fetch(url):\n    return url"
    assert "constant" not in collection.passages["reader.one_line"]
    assert counts["kept"] == 4
    assert counts["files_and_folders_left_out"] == 2
    assert counts["files_that_do_not_parse"] == 1
    assert counts["duplicate_query"] == 1
    assert counts["one_word_docstring"] == 1
    assert counts["boiler_plate_docstring"] == 1
    assert counts["nothing_but_a_docstring"] == 1
    assert counts["without_docstring"] == 1


def test_the_running_librarys_collection(tmp_path: Path) -> None:
    build_stdlib(tmp_path / "a")
    build_stdlib(tmp_path / "b")
    collection = read_collection(tmp_path / "a")
    files = ["corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/dev.tsv", "qrels/test.tsv"]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    modules = {
        split: {doc.split(".")[0] for judged in qrels.values() for doc in judged}
        for split, qrels in collection.qrels.items()
    }
    assert not modules["train"] & modules["dev"]
    assert not modules["train"] & modules["test"]
    assert not modules["dev"] & modules["test"]
    assert len(collection.qrels["train"]) > 2000
    assert len(collection.qrels["test"]) > 300
    everything = set.union(*modules.values())
    assert not everything & {"test", "idlelib", "tkinter", "distutils", "turtle", "lib2to3", "site-packages"}
    counts = json.loads((tmp_path / "a" / "collection.json").read_text())["counts"]
    assert counts["kept"] == len(collection.passages) == len(collection.queries)


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("One thing. Another.", "One thing."),
        ("Uses e.g. this one. Then more", "Uses e.g. this one."),
        ("Wrapped\n    over lines\n\n    body", "Wrapped over lines"),
        ("x.y is kept", "x.y is kept"),
    ],
)
def test_first_sentence(docstring: str, expected: str) -> None:
    assert first_sentence(docstring) == expected


def test_a_library_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Python sources"):
        build_stdlib(tmp_path / "out", tmp_path)


def test_docstrings_of_functions_inside_are_no_part_of_a_passage(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(
        "\x0cdef outer(x):\n"
        '    """Wrap the thing up."""\n'
        "    def inner(y):\n"
        '        """Secret words inside."""\n'
        "        return y\n"
        "    return inner\n"
    )
    build_stdlib(tmp_path / "out", tmp_path)
    passages = read_collection(tmp_path / "out").passages
    assert passages["outer.outer"] == "def outer(x):\n    def inner(y):\n        return y\n    return inner"
    assert passages["outer.outer.inner"] == "def inner(y):\n    return y"


def test_a_name_defined_twice_keeps_both(tmp_path: Path) -> None:
    (tmp_path / "size.py").write_text(
        'def size():\n    """Return the size."""\n    return 1\n\n'
        'def size(value):\n    """Set the size anew."""\n    return value\n'
    )
    build_stdlib(tmp_path / "out", tmp_path)
    assert set(read_collection(tmp_path / "out").passages) == {"size.size", "size.size#2"}


MIXED = '''def outer(x):
    """Wrap the thing up. It takes a thing.

      - and a list
    """
    def inner(y):
        """Secret words inside. But these stay."""
        return y
    return inner

def short(x): "Return it all. Or not."; return x
'''


def test_mixed_keeps_the_rest_of_each_docstring_and_no_query(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(MIXED)
    build_stdlib(tmp_path / "out", tmp_path, mode="mixed")
    collection = read_collection(tmp_path / "out")
    outer = collection.passages["outer.outer"]
    assert outer.startswith('def outer(x):\n    """It takes a thing.\n')
    assert "- and a list" in outer
    assert '        """But these stay."""\n        return y' in outer
    assert "Or not." in collection.passages["outer.short"]
    for query in collection.queries.values():
        assert not any(query in passage for passage in collection.passages.values()), query


def test_stdlib_alone_means_mixed(tmp_path: Path) -> None:
    alone, mixed, code = (
        (prepare_collection(spec, tmp_path / str(number)) / "corpus.jsonl").read_bytes()
        for number, spec in enumerate(("stdlib", "stdlib:mixed", "stdlib:code"))
    )
    assert alone == mixed
    assert len(mixed) > len(code)
