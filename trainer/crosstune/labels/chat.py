"""The chat completions of OpenAI's format, as a client writes and reads them.

https://platform.openai.com/docs/api-reference/chat: what vLLM, Ollama, llama.cpp, LiteLLM and most providers
answer as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlunsplit

from crosstune.endpoints.address import checked, whole
from crosstune.endpoints.answers import BadAnswer, count_in, shape
from crosstune.endpoints.kept import content_digest

_PATH = "/chat/completions"


@dataclass(frozen=True)
class ChatSettings:
    """`url`: where to post; `temperature`: of the draw; `max_output_tokens`: of one answer; `fields`: of the
    request, over those that crosstune sets (`None` leaves one out); `input_price` and `output_price`: of a
    million tokens, in whatever currency."""

    url: str
    model: str
    temperature: float
    max_output_tokens: int
    key: str | None = field(default=None, repr=False)
    fields: Mapping[str, Any] = field(default_factory=dict)
    input_price: float = 0.0
    output_price: float = 0.0


@dataclass(frozen=True)
class Prompt:
    """`name`: what it is about, for messages."""

    name: str
    text: str


@dataclass(frozen=True)
class ChatAnswer:
    """What the model said; `cut`: it met `max_output_tokens`; `input_tokens` and `output_tokens` as billed,
    `None` where the answer does not say; `kept`: from an earlier call."""

    text: str
    cut: bool
    input_tokens: int | None
    output_tokens: int | None
    failures: int = 0
    kept: bool = False


def chat_address(given: str) -> str:
    """Where to post: the address as it is when it ends in `/chat/completions`, or else that path below it.

    Raises `InputError` for what is no HTTP address, or one with a name and password in it.
    """
    parts = checked(given)
    path = parts.path.rstrip("/")
    path = path if path.endswith(_PATH) else path + _PATH
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def chat_body(settings: ChatSettings, prompt: str) -> dict[str, Any]:
    """The body of one request: the prompt is its only message."""
    body = {
        "model": settings.model,
        "messages": [{"role": "user", "content": whole(prompt)}],
        "temperature": settings.temperature,
        "max_tokens": settings.max_output_tokens,
        **settings.fields,
    }
    return {name: value for name, value in body.items() if value is not None}


def prompt_key(settings: ChatSettings, prompt: str) -> bytes:
    """A digest of all that decides an answer: the address and the request. No key of an API is part of it."""
    return content_digest(settings.url, json.dumps(chat_body(settings, prompt), sort_keys=True))


def read_chat(payload: Any, failures: int) -> ChatAnswer:
    """A refusal, and a model that thought for all its tokens, say nothing: their `content` is null, and the
    text empty. Raises `BadAnswer` for what is no chat completion."""
    choices = payload.get("choices") if isinstance(payload, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise BadAnswer(
            shape(payload), 'a chat completion: an object with a list of one or more under "choices"'
        )
    message = choices[0].get("message")
    if not isinstance(message, dict) or not isinstance(text := message.get("content"), str | None):
        raise BadAnswer(f"a choice as {shape(choices[0])}", 'a text under "message", "content"')
    return ChatAnswer(
        text or "",
        choices[0].get("finish_reason") == "length",
        count_in(payload, "usage", "prompt_tokens"),
        count_in(payload, "usage", "completion_tokens"),
        failures,
    )
