"""The embedded collection: code search over the running Python's own standard library.

A documented function's first docstring sentence is the query. The passage is its source: without its
docstring (`code`), or with the rest of it (`mixed`), as people search code that is documented. Sources
are parsed with `ast`; nothing is imported or executed.
"""

from __future__ import annotations

import ast
import copy
import re
import sys
import sysconfig
import textwrap
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from crosstune.data.schema import COLLECTION_FILE, COLLECTION_VERSION
from crosstune.errors import InputError
from crosstune.files import staged_folder, write_json, write_jsonl, write_text
from crosstune.progress import say
from crosstune.records import SPLITS, Split

LEFT_OUT = {
    *("test", "tests", "idle_test", "idlelib", "tkinter", "distutils", "lib2to3", "turtle", "turtledemo"),
    *("site-packages", "dist-packages", "ensurepip", "__pycache__", "pydoc_data", "__phello__"),
}
SHARES: dict[Split, float] = {"train": 0.8, "dev": 0.08, "test": 0.12}
_BOILER_PLATE = re.compile(
    r"^(see |same as |like |internal|private|helper|todo|deprecated|overridden|override|undocumented"
    r"|constructor|initiali[sz]e self|return self|implement|abstract|no-?op|do nothing|not implemented"
    r"|wrapper for |wrapper around |equivalent to |alias )",
    flags=re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(`'\"*])")

Function = ast.FunctionDef | ast.AsyncFunctionDef
StdlibMode = Literal["code", "mixed"]


@dataclass(frozen=True)
class CodePair:
    """A query and its passage; `module` is the top-level module that they come from."""

    doc_id: str
    module: str
    query: str
    passage: str


def build_stdlib(folder: Path, library: Path | None = None, mode: StdlibMode = "code") -> dict[str, int]:
    """Writes the collection as a BEIR folder and returns what was kept and dropped, by name.

    Deterministic for one Python version. No top-level module is in two splits. `library` is where the
    sources lie, the running Python's standard library by default.
    """
    root = library or Path(sysconfig.get_paths()["stdlib"])
    if not any(root.glob("*.py")):
        raise InputError(
            f"{root}: no Python sources; the standard library of this Python ({sys.executable}) is "
            "missing or packed. Use a Python with its sources, for example Debian's libpython3-stdlib"
        )
    counts: Counter[str] = Counter()
    pairs = _without_duplicates(_collect(root, mode, counts), counts)
    split_of = _split_modules(Counter(pair.module for pair in pairs))
    counts["kept"] = len(pairs)
    with staged_folder(folder) as out:
        write_jsonl(out / "corpus.jsonl", ({"_id": p.doc_id, "title": "", "text": p.passage} for p in pairs))
        write_jsonl(out / "queries.jsonl", ({"_id": f"q:{p.doc_id}", "text": p.query} for p in pairs))
        for split in SPLITS:
            lines = [f"q:{p.doc_id}\t{p.doc_id}\t1" for p in pairs if split_of[p.module] == split]
            counts[f"{split}_queries"] = len(lines)
            if lines:
                text = "\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n"
                write_text(out / "qrels" / f"{split}.tsv", text)
        about = {
            "schema": COLLECTION_VERSION,
            "python": sys.version.split()[0],
            "mode": mode,
            "counts": counts,
        }
        write_json(out / COLLECTION_FILE, about)
    say("  " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items()))
    return dict(counts)


def _collect(root: Path, mode: StdlibMode, counts: Counter[str]) -> Iterator[CodePair]:
    for path in _sources(root, counts):
        inner = path.relative_to(root).with_suffix("")
        try:
            with tokenize.open(path) as handle:
                source = handle.read()
            tree = ast.parse(source)
        except (SyntaxError, UnicodeDecodeError, ValueError):
            counts["files_that_do_not_parse"] += 1
            continue
        counts["files"] += 1
        lines = source.split("\n")  # the lines that ast counts: a form feed is none
        name = ".".join(inner.parts).removesuffix(".__init__")
        for qualified, function in _functions(tree, name):
            pair = _pair(qualified, inner.parts[0], function, lines, mode, counts)
            if pair:
                yield pair


def _sources(folder: Path, counts: Counter[str]) -> Iterator[Path]:
    """Python files below `folder` in the order of their names, without those that are left out."""
    for path in sorted(folder.iterdir()):
        if path.stem in LEFT_OUT:
            counts["files_and_folders_left_out"] += 1
        elif path.is_dir():
            yield from _sources(path, counts)
        elif path.suffix == ".py":
            yield path


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}.{child.name}", child
            yield from _functions(child, f"{prefix}.{child.name}")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}.{child.name}")
        else:
            yield from _functions(child, prefix)


def _pair(
    name: str, module: str, function: Function, lines: list[str], mode: StdlibMode, counts: Counter[str]
) -> CodePair | None:
    docstring = ast.get_docstring(function)
    if not docstring:
        counts["without_docstring"] += 1
        return None
    query = first_sentence(docstring)
    if len(query.split()) < 2:
        counts["one_word_docstring"] += 1
        return None
    if _BOILER_PLATE.match(query):
        counts["boiler_plate_docstring"] += 1
        return None
    if len(function.body) == 1:
        counts["nothing_but_a_docstring"] += 1
        return None
    return CodePair(name, module, query, _passage(function, lines, mode))


def first_sentence(docstring: str) -> str:
    """The first sentence of the first paragraph, on one line."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return _SENTENCE_END.split(paragraph)[0]


def _passage(function: Function, lines: list[str], mode: StdlibMode) -> str:
    """The source without the queries in it: its own, and those of functions inside, each a query as well."""
    replaced: dict[int, list[str]] = {}
    for inner in _documented(function):
        text, after = inner.body[:2]
        rest = _rest(inner) if mode == "mixed" else ""
        end = text.end_lineno or text.lineno
        if text.lineno == inner.lineno or after.lineno == end:
            # In `def f(): "..."; return 1` the docstring shares its line with code.
            return _unparsed(function, mode)
        replaced.update({number: [] for number in range(text.lineno, end + 1)})
        if rest:
            replaced[text.lineno] = textwrap.indent(f'"""{rest}"""', " " * text.col_offset).split("\n")
    numbers = range(function.lineno, (function.end_lineno or function.lineno) + 1)
    kept = [line for n in numbers for line in replaced.get(n, [lines[n - 1]])]
    return textwrap.dedent("\n".join(kept)).strip()


def _unparsed(function: Function, mode: StdlibMode) -> str:
    bare = copy.deepcopy(function)
    for node in _documented(bare):
        rest = _rest(node) if mode == "mixed" else ""
        node.body[:1] = [ast.Expr(ast.Constant(rest))] if rest else []
    return ast.unparse(ast.fix_missing_locations(bare))


def _rest(function: Function) -> str:
    """The docstring after its first sentence."""
    docstring = ast.get_docstring(function) or ""
    words = len(first_sentence(docstring).split())
    return re.sub(rf"^\s*(?:\S+\s*){{{words}}}", "", docstring).strip()


def _documented(function: Function) -> list[Function]:
    nodes = (node for node in ast.walk(function) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [node for node in nodes if ast.get_docstring(node) and len(node.body) > 1]


def _without_duplicates(pairs: Iterator[CodePair], counts: Counter[str]) -> list[CodePair]:
    """The first of each query and passage, compared in lower case without punctuation.

    A name that is defined twice (a property's setter, a branch by platform) gets a number.
    """
    seen: dict[str, set[str]] = {"query": set(), "passage": set()}
    names: Counter[str] = Counter()
    kept = []
    for pair in pairs:
        keys = {"query": _plain(pair.query), "passage": _plain(pair.passage)}
        repeated = next((kind for kind, key in keys.items() if key in seen[kind]), None)
        if repeated:
            counts[f"duplicate_{repeated}"] += 1
            continue
        for kind, key in keys.items():
            seen[kind].add(key)
        names[pair.doc_id] += 1
        again = names[pair.doc_id]
        kept.append(pair if again == 1 else replace(pair, doc_id=f"{pair.doc_id}#{again}"))
    return kept


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _split_modules(sizes: Counter[str]) -> dict[str, Split]:
    """Module -> split: the largest first, each to the split that lacks most of its share."""
    total = sum(sizes.values())
    filled = dict.fromkeys(SPLITS, 0)
    chosen: dict[str, Split] = {}
    for module, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        split = max(SPLITS, key=lambda name: SHARES[name] * total - filled[name])
        chosen[module] = split
        filled[split] += size
    return chosen
