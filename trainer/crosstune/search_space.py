"""The words of `crosstune sweep`: which keys are searched, and over what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crosstune.errors import InputError

if TYPE_CHECKING:
    from optuna import Trial

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})(:log)?")


@dataclass(frozen=True)
class Choice:
    """`a|b|c`."""

    key: str
    values: tuple[str, ...]

    def suggest(self, trial: Trial) -> str:
        return str(trial.suggest_categorical(self.key, self.values))

    def samples(self) -> tuple[str, ...]:
        """Values that must be valid if any is."""
        return self.values


@dataclass(frozen=True)
class Span:
    """`LOW..HIGH`, whole numbers where both ends are; `LOW..HIGH:log` by factors."""

    key: str
    low: float
    high: float
    log: bool
    whole: bool

    def suggest(self, trial: Trial) -> str:
        if self.whole:
            return str(trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log))
        return repr(trial.suggest_float(self.key, self.low, self.high, log=self.log))

    def samples(self) -> tuple[str, ...]:
        """Values that must be valid if any is."""
        ends = (self.low, self.high)
        return tuple(str(int(end)) if self.whole else repr(end) for end in ends)


Dimension = Choice | Span


def parse_space(words: Sequence[str]) -> tuple[list[Dimension], list[str]]:
    """What is searched, and the overrides that hold for all trials. Raises `InputError` for a range that is
    none, a key that is named twice, and words without anything to search."""
    dimensions: list[Dimension] = []
    fixed: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        found = RANGE.fullmatch(value)
        if found:
            dimensions.append(_span(word, key, found))
        elif "|" in value:
            dimensions.append(Choice(key, tuple(value.split("|"))))
        else:
            fixed.append(word)
    keys = [word.partition("=")[0] for word in words]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise InputError(f"{twice} is given {keys.count(twice)} times; give each key once")
    if not dimensions:
        raise InputError(
            "nothing to search: give at least one KEY=A|B, KEY=LOW..HIGH or KEY=LOW..HIGH:log, for example "
            "train.learning_rate=1e-5..1e-4:log"
        )
    return dimensions, fixed


def _span(word: str, key: str, found: re.Match[str]) -> Span:
    low, high = float(found[1]), float(found[2])
    log = bool(found[3])
    if low >= high or (log and low <= 0):
        wanted = "0 < LOW < HIGH" if log else "LOW < HIGH"
        raise InputError(f"{word}: found {found[1]} and {found[2]}; {wanted} was expected")
    return Span(key, low, high, log, all(re.fullmatch(r"[-+]?\d+", end) for end in (found[1], found[2])))
