"""Who writes the queries: a seq2seq model or a chat endpoint. Both keep what they wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crosstune.cache import cache_folder
from crosstune.endpoints.address import shown
from crosstune.endpoints.answers import excerpt
from crosstune.endpoints.load import Load
from crosstune.errors import CheckFailed, MissingExtra
from crosstune.labels.chat import ChatSettings, Prompt
from crosstune.labels.parse import queries_of
from crosstune.labels.plan import Plan, plan_of
from crosstune.labels.prompts import Example, PromptTemplate, shorten
from crosstune.labels.seq2seq import Seq2SeqSettings, write_queries
from crosstune.labels.spending import Limits, Spending

Passage = tuple[str, str]
"""Document id and text."""


@dataclass
class Written:
    """`queries`: by document id. `counts`: passages by what became of them: `answered`, `kept` (of them, from
    earlier calls), `cut` (too long, seen in part), `no_query` (an answer without a query), `refused`,
    `not_asked` (beyond the limits). `spent`: what the answers cost, nothing for a model of one's own."""

    queries: dict[str, list[str]]
    counts: Counter[str]
    spent: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Seq2SeqWriter:
    settings: Seq2SeqSettings
    fresh: bool

    @property
    def generator(self) -> str:
        return self.settings.model

    def write(self, passages: Sequence[Passage]) -> Written:
        store = answers_path("seq2seq")
        written = write_queries(self.settings, [text for _, text in passages], store, fresh=self.fresh)
        queries = {doc_id: found for doc_id, text in passages if (found := written.queries[text])}
        counts = Counter(answered=len(passages), kept=written.kept, cut=written.cut)
        counts["no_query"] = len(passages) - len(queries)
        if not queries:
            raise CheckFailed(
                f"--seq2seq {self.settings.model}: wrote nothing for {len(passages)} passages; is it a model "
                "that was trained to write queries?"
            )
        return Written(queries, counts)


@dataclass(frozen=True)
class ChatWriter:
    """`queries`: a passage; `characters`: of a passage, at most."""

    settings: ChatSettings
    template: PromptTemplate
    examples: Sequence[Example]
    queries: int
    characters: int
    load: Load
    limits: Limits

    @property
    def generator(self) -> str:
        return self.settings.model

    def plan(self, passages: Sequence[Passage]) -> Plan:
        prompts, _ = self._prompts(passages)
        return plan_of(self.settings, list(prompts.values()), answers_path("chat"), fresh=self.load.fresh)

    def write(self, passages: Sequence[Passage]) -> Written:
        ask_all = chat_client()
        prompts, cut = self._prompts(passages)
        spending = Spending(self.settings, self.limits)
        asked = ask_all(
            self.settings, list(prompts.values()), self.load, spending, answers_path("chat"),
            f"{self.settings.model}, passages",
        )  # fmt: skip
        queries: dict[str, list[str]] = {}
        counts = Counter(cut=cut)
        last = ""
        for doc_id, prompt in prompts.items():
            answer = asked.answers.get(prompt.text)
            if answer is None:
                counts["refused" if prompt.text in asked.refused else "not_asked"] += 1
                continue
            counts["answered"] += 1
            counts["kept"] += answer.kept
            found = queries_of(answer.text, self.queries)
            if found:
                queries[doc_id] = found
            else:
                counts["no_query"] += 1
                last = f"{answer.text}{' (cut at --max-output-tokens)' if answer.cut else ''}"
        if not queries:
            raise CheckFailed(_nothing(counts, last, self.limits))
        return Written(queries, counts, spent(spending))

    def _prompts(self, passages: Sequence[Passage]) -> tuple[dict[str, Prompt], int]:
        """By document id, and how many passages are seen in part."""
        texts = {doc_id: shorten(text, self.characters) for doc_id, text in passages}
        common = {"count": self.queries, "examples": self.examples}
        prompts = {
            doc_id: Prompt(f"passage {doc_id!r}", self.template.fill({**common, "passage": text}))
            for doc_id, (text, _) in texts.items()
        }
        return prompts, sum(cut for _, cut in texts.values())


def _nothing(counts: Counter[str], last: str, limits: Limits) -> str:
    if not counts["answered"]:
        return f"no passage was asked about: the limits allow none ({limits.words()}); raise them"
    return (
        f"none of {counts['answered']} answers holds queries; found {excerpt(last.encode())!r}, expected a "
        "JSON list of strings: say so in --prompt, or take another --model. Nothing was written"
    )


def spent(spending: Spending) -> dict[str, Any]:
    """What a summary tells of it."""
    return {
        "requests": spending.requests,
        "kept": spending.kept,
        "failed": spending.failures,
        "input_tokens": spending.input_tokens,
        "output_tokens": spending.output_tokens,
        "estimated": spending.estimated,
        "cost": spending.cost,
    }


def chat_client() -> Any:
    """`ask_all`. Raises `MissingExtra` where its packages are missing."""
    try:
        from crosstune.labels.ask import ask_all
    except ModuleNotFoundError as error:
        raise MissingExtra(f"--endpoint (module {error.name})", "endpoints") from None
    return ask_all


def answers_path(name: str) -> Path:
    """Where answers are kept."""
    return cache_folder("labels") / f"{name}.sqlite"


def settings_of(writer: Seq2SeqWriter | ChatWriter) -> dict[str, Any]:
    """What the collection tells about how its queries were written; never a key."""
    if isinstance(writer, Seq2SeqWriter):
        return {"seq2seq": asdict(writer.settings)}
    chat = asdict(writer.settings)
    del chat["key"]
    chat["url"] = shown(chat["url"])
    return {"chat": chat | {"queries": writer.queries, "passage_characters": writer.characters}}
