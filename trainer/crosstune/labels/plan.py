"""What a call would ask for and cost, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.endpoints.kept import kept_answers
from crosstune.labels.chat import ChatSettings, Prompt, prompt_key
from crosstune.labels.spending import estimated_tokens, price


@dataclass(frozen=True)
class Plan:
    """`requests`: to make, beside those whose answers are `kept`. `input_tokens`: by the bytes of the
    prompts, rather too many; `output_tokens` and `cost`: at most. `prompt`: the first to be sent, empty when
    there is none."""

    requests: int
    kept: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    prompt: str

    def words(self) -> str:
        cost = f", at most {self.cost:.4f} by the prices" if self.cost is not None else ""
        return (
            f"{self.requests} requests to make, {self.kept} answers kept; about {self.input_tokens} tokens "
            f"to send, at most {self.output_tokens} to receive{cost}"
        )


def plan_of(settings: ChatSettings, prompts: Sequence[Prompt], store: Path, *, fresh: bool) -> Plan:
    """Asks nothing."""
    unique = list({prompt.text: prompt for prompt in prompts})
    with kept_answers(store, fresh=fresh) as kept:
        new = [text for text in unique if kept.find(prompt_key(settings, text)) is None]
    given = sum(map(estimated_tokens, new))
    answered = len(new) * settings.max_output_tokens
    cost = price(settings, given, answered)
    return Plan(len(new), len(unique) - len(new), given, answered, cost, next(iter(new or unique), ""))
