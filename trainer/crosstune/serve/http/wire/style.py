"""What a wire format is: its paths, its handlers, and how it says that a request is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crosstune.serve.http.refusal import STATUS, Kind

if TYPE_CHECKING:
    from crosstune.serve.http.service import Service

Handler = Callable[..., Awaitable[Any]]


class Body(BaseModel):
    """A request. A string is no number and 1.5 no integer; fields that are not known are passed over, as
    the original services do."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Reply(BaseModel):
    """An answer or an error."""

    model_config = ConfigDict(strict=True)


def _whole(text: str) -> str:
    """JSON can say half a character (`"\\ud800"`), which could not be sent back as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate, which is no Unicode text") from None
    return text


Words = Annotated[str, AfterValidator(_whole)]
"""A text of a client."""

Many = Field(fail_fast=True)
"""Of a list that may be long: it is read up to its first fault, since millions of faults are gigabytes."""

Texts = Annotated[list[Words], Many]

Count = Annotated[int, Field(le=2**31 - 1)]
"""A whole number that any client and JSON library holds."""

Place = Annotated[int, Field(ge=0, description="place in the list that was sent")]


@dataclass(frozen=True)
class Style:
    """A wire format.

    `prefix` + a path of `handlers` is always served; `statuses` differ from the common ones; `reply` makes
    the error's body from status, kind and message, and `error` is its schema.
    """

    name: str
    handlers: Callable[[Service], Mapping[str, Handler]]
    paths: tuple[str, ...]
    error: type[Reply]
    reply: Callable[[int, Kind, str], Reply]
    statuses: Mapping[Kind, int] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        return f"/{self.name}"

    def status(self, kind: Kind) -> int:
        return self.statuses.get(kind, STATUS[kind])

    def refusal(self, kind: Kind, message: str) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        status = self.status(kind)
        return status, self.reply(status, kind, message).model_dump()
