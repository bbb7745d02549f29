"""Who grades: a chat endpoint or a cross-encoder. Both keep what they said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from crosstune.endpoints.answers import excerpt
from crosstune.endpoints.load import Load
from crosstune.errors import CheckFailed
from crosstune.labels.chat import ChatSettings, Prompt
from crosstune.labels.parse import grade_of
from crosstune.labels.plan import Plan, plan_of
from crosstune.labels.prompts import SCALES, Example, PromptTemplate, shorten
from crosstune.labels.spending import Spending
from crosstune.labels.teacher import open_teacher
from crosstune.labels.writers import answers_path, chat_client, spent
from crosstune.progress import progress


@dataclass(frozen=True)
class Pair:
    query_id: str
    doc_id: str
    query: str
    passage: str


@dataclass(frozen=True)
class Verdict:
    """`grade`: None where there is none, for the `reason`: `no_grade` (an answer without one), `refused`,
    `not_asked` (beyond the limits), `doubtful` (between a cross-encoder's thresholds). `score`: a
    cross-encoder's, 0 to 1; `cut`: only the beginning of the passage was shown."""

    grade: int | None
    reason: str | None = None
    score: float | None = None
    cut: bool = False


class Grader(Protocol):
    @property
    def generator(self) -> str:
        """Its name in the collection."""

    @property
    def highest(self) -> int:
        """The best grade that it gives."""

    def grade(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """One for each pair, in their order. Raises `CheckFailed` when no answer holds a grade."""

    def spent(self) -> dict[str, Any]:
        """What the answers so far cost; nothing for a model of one's own."""


@dataclass(frozen=True)
class ChatGrader:
    """`highest`: grade; `characters`: of a passage, at most; `spending`: sums up all calls."""

    settings: ChatSettings
    template: PromptTemplate
    examples: Sequence[Example]
    highest: int
    characters: int
    load: Load
    spending: Spending

    @property
    def generator(self) -> str:
        return self.settings.model

    def plan(self, pairs: Sequence[Pair]) -> Plan:
        prompts, _ = self._prompts(pairs)
        return plan_of(self.settings, prompts, answers_path("chat"), fresh=self.load.fresh)

    def _prompts(self, pairs: Sequence[Pair]) -> tuple[list[Prompt], list[bool]]:
        """For each pair, and whether its passage is seen in part."""
        common = {"scale": SCALES[self.highest], "examples": self.examples}
        prompts, cut = [], []
        for pair in pairs:
            passage, shorter = shorten(pair.passage, self.characters)
            text = self.template.fill({**common, "query": pair.query, "passage": passage})
            prompts.append(Prompt(f"query {pair.query_id!r}, document {pair.doc_id!r}", text))
            cut.append(shorter)
        return prompts, cut

    def grade(self, pairs: Sequence[Pair]) -> list[Verdict]:
        ask_all = chat_client()
        prompts, cut = self._prompts(pairs)
        asked = ask_all(
            self.settings, prompts, self.load, self.spending, answers_path("chat"),
            f"{self.settings.model}, pairs",
        )  # fmt: skip
        verdicts = []
        last = None
        for prompt, shorter in zip(prompts, cut, strict=True):
            answer = asked.answers.get(prompt.text)
            if answer is None:
                reason = "refused" if prompt.text in asked.refused else "not_asked"
                verdicts.append(Verdict(None, reason))
                continue
            grade = grade_of(answer.text, self.highest)
            verdicts.append(Verdict(grade, None if grade is not None else "no_grade", cut=shorter))
            last = answer.text if grade is None else last
        if last is not None and all(verdict.grade is None for verdict in verdicts):
            raise CheckFailed(
                f"none of {len(asked.answers)} answers holds a grade; found {excerpt(last.encode())!r}, "
                f'expected {{"grade": N}} with N from 0 to {self.highest}: say so in --prompt, or take '
                "another --model. Nothing was written"
            )
        return verdicts

    def spent(self) -> dict[str, Any]:
        return spent(self.spending)


@dataclass(frozen=True)
class CrossEncoderGrader:
    """Relevant (1) from a score above `positive`, not (0) from one below `negative`, else no grade."""

    model: str
    positive: float
    negative: float
    seed: int
    highest: int = 1

    @property
    def generator(self) -> str:
        return Path(self.model).name if Path(self.model).is_dir() else self.model

    def grade(self, pairs: Sequence[Pair]) -> list[Verdict]:
        from scipy.special import expit

        verdicts: list[Verdict] = []
        with (
            open_teacher(self.model, self.seed, "--cross-encoder") as score,
            progress(f"{self.generator}, pairs", len(pairs)) as advance,
        ):
            for start in range(0, len(pairs), 64):
                part = pairs[start : start + 64]
                for logit in score([(pair.query, pair.passage) for pair in part]):
                    verdicts.append(self._verdict(float(expit(logit))))
                advance(len(part))
        return verdicts

    def _verdict(self, score: float) -> Verdict:
        if score > self.positive:
            return Verdict(1, None, score)
        return Verdict(0, None, score) if score < self.negative else Verdict(None, "doubtful", score)

    def spent(self) -> dict[str, Any]:
        return {}
