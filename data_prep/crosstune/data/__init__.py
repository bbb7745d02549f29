"""Data preparation: collections, first stages, mining."""

from crosstune.data.bm25 import RetrievalSummary, retrieve, search
from crosstune.data.collection import prepare_collection, read_collection
from crosstune.data.mining import MiningSummary, mine, read_groups
from crosstune.data.settings import Bm25Settings, MiningSettings
from crosstune.data.stdlib import build_stdlib

__all__ = [
    "Bm25Settings",
    "MiningSettings",
    "MiningSummary",
    "RetrievalSummary",
    "build_stdlib",
    "mine",
    "prepare_collection",
    "read_collection",
    "read_groups",
    "retrieve",
    "search",
]
