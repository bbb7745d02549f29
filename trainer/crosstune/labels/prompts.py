"""Prompts: a template, filled with a passage, and examples of the user's own labels."""

from __future__ import annotations

import difflib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.errors import InputError
from crosstune.files import read_lines
from crosstune.records import Collection

if TYPE_CHECKING:
    from jinja2 import Template

QUERY_TEMPLATE = Path(__file__).with_name("queries.txt")
GRADE_TEMPLATE = Path(__file__).with_name("grades.txt")
EXAMPLE_CHARACTERS = 800
"""Of a passage of an example: it stands in every prompt, and is paid for in each."""

SCALES: dict[int, dict[int, str]] = {
    1: {0: "does not answer the query", 1: "answers the query, wholly or in part"},
    2: {0: "does not answer the query", 1: "answers a part of it", 2: "answers the query"},
    3: {
        0: "has nothing to do with the query",
        1: "is about the same matter, but does not answer the query",
        2: "answers the query in part, or the answer stands among other matters",
        3: "is about the query and holds its whole answer",
    },
}
"""Highest grade -> what each grade means. That to 3 follows TREC's deep learning tracks, as UMBRELA asks for
them (Upadhyay et al. 2024, arXiv:2406.06519)."""


@dataclass(frozen=True)
class Example:
    """A label of a person's, shown to the model."""

    query_id: str
    doc_id: str
    query: str
    passage: str
    grade: int


class PromptTemplate:
    """A text with Jinja's marks. `needs`: the variables that it has to use; `knows`: others that it may."""

    def __init__(self, path: Path, needs: tuple[str, ...], knows: tuple[str, ...]) -> None:
        """Raises `InputError` with file and line for a template that cannot be read, and for one that names
        what there is not or leaves out what it needs."""
        from jinja2 import StrictUndefined, TemplateSyntaxError, meta
        from jinja2.sandbox import SandboxedEnvironment

        text = "\n".join(line for _, line in read_lines(path))
        environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        try:
            used = meta.find_undeclared_variables(environment.parse(text))
            self._template: Template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise InputError(f"{path}:{error.lineno}: not a template of Jinja's ({error.message})") from None
        self._path = path
        for name in sorted(used - {*needs, *knows}):
            near = difflib.get_close_matches(name, [*needs, *knows], n=1)
            raise InputError(
                f"{path}: {{{{ {name} }}}} is not known{f'; did you mean {near[0]}?' if near else ';'} "
                f"There are: {', '.join((*needs, *knows))}"
            )
        missing = [name for name in needs if name not in used]
        if missing:
            raise InputError(f"{path}: {{{{ {missing[0]} }}}} is missing: every prompt would be the same")

    def fill(self, values: Mapping[str, Any]) -> str:
        """Raises `InputError` for a template that fails on these values."""
        try:
            return self._template.render(values).strip()
        except Exception as error:
            raise InputError(f"{self._path}: cannot be filled ({error})") from None


def query_template(path: Path | None) -> PromptTemplate:
    return PromptTemplate(path or QUERY_TEMPLATE, ("passage",), ("count", "examples"))


def grade_template(path: Path | None) -> PromptTemplate:
    return PromptTemplate(path or GRADE_TEMPLATE, ("query", "passage"), ("scale", "examples"))


def draw_examples(
    collection: Collection, generated: frozenset[tuple[str, str]], count: int, seed: int, highest: int | None
) -> list[Example]:
    """Labels of the train split that people made, drawn by seed, each of another query; never of dev or test.

    With a `highest` grade the grades up to it take turns, highest first, as far as there are any (with 1 all
    that is relevant has that grade); without, all are of what is relevant. `generated`: `(query id, document
    id)` of the labels that no person made.
    """
    by_grade: dict[int, list[tuple[str, str]]] = {}
    for query_id, judged in collection.qrels.get("train", {}).items():
        for doc_id, grade in judged.items():
            shown = int(grade > 0) if highest in (None, 1) else max(grade, 0)
            if (query_id, doc_id) not in generated and (shown if highest is None else shown <= highest):
                by_grade.setdefault(shown, []).append((query_id, doc_id))
    draw = random.Random(seed)
    drawn = {grade: draw.sample(pairs, len(pairs)) for grade, pairs in sorted(by_grade.items(), reverse=True)}
    examples: list[Example] = []
    while len(examples) < count and any(drawn.values()):
        for grade, pairs in drawn.items():
            if pairs and len(examples) < count:
                query_id, doc_id = pairs.pop()
                if query_id not in {example.query_id for example in examples}:
                    passage, _ = shorten(collection.passages[doc_id], EXAMPLE_CHARACTERS)
                    examples.append(Example(query_id, doc_id, collection.queries[query_id], passage, grade))
    return examples


def highest_grade(collection: Collection, generated: frozenset[tuple[str, str]]) -> int:
    """Of people's train labels, 1 where there are none. Raises `InputError` for a scale without words."""
    highest = max(
        (
            grade
            for query_id, judged in collection.qrels.get("train", {}).items()
            for doc_id, grade in judged.items()
            if (query_id, doc_id) not in generated
        ),
        default=1,
    )
    if highest > max(SCALES):
        raise InputError(
            f"the train labels have grades up to {highest}; scales to {max(SCALES)} have words: give "
            "one of them with --grades"
        )
    return max(highest, 1)


def shorten(text: str, characters: int) -> tuple[str, bool]:
    """The text, cut after a word where it is longer; and whether it was."""
    if len(text) <= characters:
        return text, False
    head, space, _ = text[: characters + 1].rpartition(" ")
    return (head if space else text[:characters]), True
