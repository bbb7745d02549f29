"""First stages: an engine's best passages for each query, checked and written as TREC runs."""

from crosstune.data.first_stages.protocol import Engine, FirstStage, Found
from crosstune.data.first_stages.retrieve import check_searchable, input_digests, retrieve, search, search_all
from crosstune.data.first_stages.settings import (
    Bm25Settings,
    DenseSettings,
    FirstStageSettings,
    HybridSettings,
    PluginSettings,
    PostgresSettings,
    TrecSettings,
)
from crosstune.data.first_stages.summary import RetrievalSummary
from crosstune.data.first_stages.tune import Trial, tune

__all__ = [
    "Bm25Settings",
    "DenseSettings",
    "Engine",
    "FirstStage",
    "FirstStageSettings",
    "Found",
    "HybridSettings",
    "PluginSettings",
    "PostgresSettings",
    "RetrievalSummary",
    "TrecSettings",
    "Trial",
    "check_searchable",
    "input_digests",
    "retrieve",
    "search",
    "search_all",
    "tune",
]
