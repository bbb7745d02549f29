"""Where the files of a published procedure lie."""

from __future__ import annotations

from pydantic import Field

from crosstune.settings import Settings


class MiniSettings(Settings):
    """The small MS MARCO that is made from the standard library."""

    depth: int = Field(100, ge=1, le=1000, description="BM25 candidates a dev query")
    dev_queries: int = Field(200, ge=2, description="judged dev queries, drawn by seed")
    negatives: int = Field(4, ge=1, le=100, description="triples a training query")


class MsMarcoFiles(Settings):
    """MS MARCO passage ranking; file names are relative to `folder`."""

    folder: str = Field(
        description="a folder with MS MARCO's files, or stdlib: made from the standard library"
    )
    triples: str = Field("triples.train.small.tsv", description="query, positive, negative")
    top1000: str = Field("top1000.dev.tsv", description="qid, pid, query, passage of the candidates")
    qrels: str = Field("qrels.dev.small.tsv", description="qid 0 pid 1 of the same queries")
    baseline_run: str | None = Field(None, description="qid, pid, rank of a first stage to compare with")
    mini: MiniSettings = MiniSettings()
