"""Ids: what may be one, and the ones made from a text where the input has none."""

from __future__ import annotations

import hashlib

from crosstune.errors import InputError
from crosstune.records import json_id
from crosstune.trec import LARGEST_GRADE, whole_number


def content_id(text: str) -> str:
    """The first 80 bits of the text's SHA-256: the same text has the same id in every conversion."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def check_id(value: object, field: str, at: str) -> str:
    """The id as it stands, an integer as its decimal digits. Raises `InputError` for all but these and a
    string without white space."""
    value = json_id(value)
    if not isinstance(value, str) or len(value.split()) != 1 or value.strip() != value:
        written = "_".join(value.split()) if isinstance(value, str) else ""
        hint = f", such as {written!r}, wherever the id stands" if written else ""
        raise InputError(f"{at}: {field} is {value!r}; a string without spaces was expected{hint}")
    return value


def parse_grade(text: str, at: str) -> int:
    """A whole number, which may be below 0 (not relevant) and written as 1.0. Raises `InputError` for
    anything else, and for one beyond `LARGEST_GRADE`."""
    grade = whole_number(text)
    if grade is None:
        raise InputError(
            f"{at}: grade {text!r} is not an integer; relevance grades are whole numbers, 0 or less for not "
            "relevant: round or scale the file's grades first"
        )
    return check_grade(grade, at)


def check_grade(grade: int, at: str) -> int:
    """The grade as it stands. Raises `InputError` beyond `LARGEST_GRADE`, above or below 0."""
    if abs(grade) > LARGEST_GRADE:
        raise InputError(
            f"{at}: grade {grade}; at most {LARGEST_GRADE:,} was expected: scale the file's grades first"
        )
    return grade


def check_text(text: str, at: str) -> None:
    """Raises `InputError` for half of a surrogate pair, which no UTF-8 file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{at}: holds half of a surrogate pair (\\ud800 to \\udfff), which no UTF-8 text "
            "can; the tool that wrote it cut a text inside a character. Remove or repair it"
        ) from None
