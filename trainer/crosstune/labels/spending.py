"""What the answers cost so far, and whether the next one fits the limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from crosstune.labels.chat import ChatAnswer, ChatSettings

BYTES_PER_TOKEN = 3.0
"""Of English text about 4; fewer, so that an estimate is rather too high."""


@dataclass(frozen=True)
class Limits:
    """Of all answers that a result is made from, those of earlier calls included; `None`: no limit."""

    requests: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def words(self) -> str:
        """As the options that gave them."""
        given = {"--max-requests": self.requests, "--max-tokens": self.tokens, "--max-cost": self.cost}
        return ", ".join(f"{name} {value:g}" for name, value in given.items() if value is not None)


@dataclass
class Spending:
    """Sums over answers. `estimated`: answers that do not say what was billed, counted by their bytes."""

    settings: ChatSettings
    limits: Limits
    requests: int = 0
    kept: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: int = 0
    _counted: set[str] = field(default_factory=set)
    _waiting: int = 0
    _waiting_input: int = 0

    @property
    def cost(self) -> float | None:
        return price(self.settings, self.input_tokens, self.output_tokens)

    def begin(self, prompt: str) -> bool:
        """Sets a request's share aside; False, and nothing, when it might pass a limit: with what is on its
        way, its input by its bytes and the longest answer."""
        waiting, limits = self._waiting + 1, self.limits
        given = self.input_tokens + self._waiting_input + estimated_tokens(prompt)
        answered = self.output_tokens + waiting * self.settings.max_output_tokens
        if (
            (limits.requests is not None and self.requests + waiting > limits.requests)
            or (limits.tokens is not None and given + answered > limits.tokens)
            or (limits.cost is not None and (price(self.settings, given, answered) or 0) > limits.cost)
        ):
            return False
        self._waiting, self._waiting_input = waiting, self._waiting_input + estimated_tokens(prompt)
        return True

    def end(self, prompt: str) -> None:
        """Gives back what `begin` set aside."""
        self._waiting -= 1
        self._waiting_input -= estimated_tokens(prompt)

    def add(self, prompt: str, answer: ChatAnswer) -> None:
        """Sums up an answer; once, however often its prompt is asked for."""
        if prompt in self._counted:
            return
        self._counted.add(prompt)
        self.requests += 1
        self.kept += answer.kept
        self.failures += answer.failures
        given, answered = answer.input_tokens, answer.output_tokens
        self.estimated += given is None or answered is None
        self.input_tokens += estimated_tokens(prompt) if given is None else given
        self.output_tokens += estimated_tokens(answer.text) if answered is None else answered


def price(settings: ChatSettings, given: int, answered: int) -> float | None:
    """Of so many tokens sent and received; `None` where no price was given."""
    if not settings.input_price and not settings.output_price:
        return None
    return (settings.input_price * given + settings.output_price * answered) / 1e6


def estimated_tokens(text: str) -> int:
    """By the bytes of the text."""
    return round(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)
