"""Data preparation: collections, first stages, mining."""

from crosstune.data.bm25 import RetrievalSummary, retrieve, search
from crosstune.data.collection import prepare_collection, read_collection
from crosstune.data.mini_msmarco import build_mini_msmarco
from crosstune.data.mining import MiningSummary, mine, read_groups
from crosstune.data.msmarco import MsMarco
from crosstune.data.reproduction_settings import MsMarcoFiles, TrecCarFiles
from crosstune.data.settings import Bm25Settings, MiningSettings
from crosstune.data.stdlib import build_stdlib
from crosstune.data.treccar import TrecCar

__all__ = [
    "Bm25Settings",
    "MiningSettings",
    "MiningSummary",
    "MsMarco",
    "MsMarcoFiles",
    "RetrievalSummary",
    "TrecCar",
    "TrecCarFiles",
    "build_mini_msmarco",
    "build_stdlib",
    "mine",
    "prepare_collection",
    "read_collection",
    "read_groups",
    "retrieve",
    "search",
]
