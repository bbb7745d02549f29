"""From the settings of a first stage to the first stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosstune.records import Collection

if TYPE_CHECKING:
    from pydantic import BaseModel

    from crosstune.data.first_stages.protocol import FirstStage


def open_first_stage(collection: Collection, settings: BaseModel) -> FirstStage:
    """Builds or opens what the kind needs. Raises `InputError`, and `MissingExtra` with the pip command."""
    from crosstune.data.first_stages import settings as kinds

    match settings:
        case kinds.Bm25Settings():
            from crosstune.data.first_stages.bm25 import Bm25

            return Bm25(collection, settings)
        case kinds.DenseSettings():
            from crosstune.data.first_stages.dense import Dense

            return Dense(collection, settings)
        case kinds.HybridSettings():
            from crosstune.data.first_stages.hybrid import Hybrid

            return Hybrid(collection, settings)
        case kinds.PostgresSettings():
            from crosstune.data.first_stages.postgres import Postgres

            return Postgres(settings)
        case kinds.TrecSettings():
            from crosstune.data.first_stages.trec_run import TrecRun

            return TrecRun(collection, settings)
        case kinds.PluginSettings():
            from crosstune.data.first_stages.plugin import Plugin

            return Plugin(collection, settings)
    raise TypeError(f"{type(settings).__name__} is no kind of first stage")
