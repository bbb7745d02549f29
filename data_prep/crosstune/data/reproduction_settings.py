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


class TrecCarFiles(Settings):
    """TREC-CAR v2.0; file names are relative to `folder`."""

    folder: str = Field(description="a folder with TREC-CAR's files")
    paragraphs: str = Field(
        "paragraphCorpus/dedup.articles-paragraphs.cbor", description="CBOR, not compressed"
    )
    train_qrels: list[str] = Field(
        [f"train/fold-{fold}-base.train.cbor-hierarchical.qrels" for fold in range(4)],
        min_length=1,
        description="judgements of the folds to train on",
    )
    train_run: str = Field("train.run", description="TREC run of the first stage on these folds")
    train_depth: int = Field(10, ge=1, le=1000, description="its first candidates a topic, to train on")
    dev_qrels: str = Field(
        "train/fold-4-base.train.cbor-hierarchical.qrels", description="judgements of fold 4"
    )
    dev_run: str = Field("dev.run", description="TREC run of the first stage on fold 4")
    dev_depth: int = Field(10, ge=1, le=1000, description="candidates a dev topic")
    dev_queries: int = Field(3000, ge=1, description="dev topics: the first of the run")
    test_qrels: str = Field(
        "benchmarkY1/benchmarkY1-test/test.pages.cbor-hierarchical.qrels", description="test judgements"
    )
    test_run: str = Field("test.run", description="TREC run of the first stage on the test topics")
    test_depth: int = Field(1000, ge=1, le=1000, description="candidates a test topic")
