"""Data preparation: collections, first stages, mining."""

from crosstune.data.bm25 import RetrievalSummary, retrieve, search
from crosstune.data.collection import prepare_collection, read_collection
from crosstune.data.mining import MiningSummary, Teacher, mine, read_answers, read_groups, read_ledger
from crosstune.data.settings import Bm25Settings, MiningSettings
from crosstune.data.stdlib import build_stdlib

__all__ = [
    "Bm25Settings",
    "MiningSettings",
    "MiningSummary",
    "RetrievalSummary",
    "Teacher",
    "build_stdlib",
    "mine",
    "prepare_collection",
    "read_answers",
    "read_collection",
    "read_groups",
    "read_ledger",
    "retrieve",
    "search",
]
