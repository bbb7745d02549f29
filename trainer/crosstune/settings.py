"""The base of all settings: unknown keys, wrong types and values out of range are errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen and strict: a string is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
