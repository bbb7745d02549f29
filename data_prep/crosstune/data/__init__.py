"""Data preparation: collections, first stages, mining."""

from crosstune.data.collection import prepare_collection, read_collection
from crosstune.data.first_stages import (
    Bm25Settings,
    DenseSettings,
    Engine,
    FirstStageSettings,
    Found,
    HybridSettings,
    PluginSettings,
    PostgresSettings,
    RetrievalSummary,
    TrecSettings,
    Trial,
    check_searchable,
    input_digests,
    retrieve,
    search,
    tune,
)
from crosstune.data.mining import MiningSummary, mine, read_groups
from crosstune.data.settings import MiningSettings
from crosstune.data.stdlib import build_stdlib

__all__ = [
    "Bm25Settings",
    "DenseSettings",
    "Engine",
    "FirstStageSettings",
    "Found",
    "HybridSettings",
    "MiningSettings",
    "MiningSummary",
    "PluginSettings",
    "PostgresSettings",
    "RetrievalSummary",
    "TrecSettings",
    "Trial",
    "build_stdlib",
    "check_searchable",
    "input_digests",
    "mine",
    "prepare_collection",
    "read_collection",
    "read_groups",
    "retrieve",
    "search",
    "tune",
]
