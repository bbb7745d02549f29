"""Data preparation: collections, first stages, mining."""

from crosstune.data.bm25 import RetrievalSummary, retrieve, search
from crosstune.data.collection import collection_digest, prepare_collection, read_collection
from crosstune.data.convert import ConvertSummary, convert
from crosstune.data.mini_msmarco import build_mini_msmarco
from crosstune.data.mining import MiningSummary, Teacher, mine, read_answers, read_groups, read_ledger
from crosstune.data.msmarco import MsMarco
from crosstune.data.readers import parse_columns
from crosstune.data.reproduction_settings import MsMarcoFiles
from crosstune.data.settings import Bm25Settings, MiningSettings
from crosstune.data.splits import SplitRule
from crosstune.data.stdlib import build_stdlib

__all__ = [
    "Bm25Settings",
    "ConvertSummary",
    "MiningSettings",
    "MiningSummary",
    "MsMarco",
    "MsMarcoFiles",
    "RetrievalSummary",
    "SplitRule",
    "Teacher",
    "build_mini_msmarco",
    "build_stdlib",
    "collection_digest",
    "convert",
    "mine",
    "parse_columns",
    "prepare_collection",
    "read_answers",
    "read_collection",
    "read_groups",
    "read_ledger",
    "retrieve",
    "search",
]
