"""Data preparation: collections, first stages, mining."""

from crosstune.data.collection import beir_digest, collection_digest, prepare_collection, read_collection
from crosstune.data.convert import ConvertSummary, convert
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
    search_all,
    tune,
)
from crosstune.data.judged_lists import JudgedLists
from crosstune.data.mini_msmarco import build_mini_msmarco
from crosstune.data.mining import (
    UNANSWERED,
    MiningSummary,
    Teacher,
    mine,
    mined_sample,
    read_answers,
    read_groups,
    read_ledger,
)
from crosstune.data.msmarco import MsMarco
from crosstune.data.probe import Probe, ProbeSettings, open_probe, probe_digest
from crosstune.data.readers import parse_columns
from crosstune.data.reproduction_settings import MsMarcoFiles, TrecCarFiles
from crosstune.data.settings import MiningSettings
from crosstune.data.splits import SplitRule
from crosstune.data.stdlib import build_stdlib
from crosstune.data.treccar import TrecCar

__all__ = [
    "UNANSWERED",
    "Bm25Settings",
    "ConvertSummary",
    "DenseSettings",
    "Engine",
    "FirstStageSettings",
    "Found",
    "HybridSettings",
    "JudgedLists",
    "MiningSettings",
    "MiningSummary",
    "MsMarco",
    "MsMarcoFiles",
    "PluginSettings",
    "PostgresSettings",
    "Probe",
    "ProbeSettings",
    "RetrievalSummary",
    "SplitRule",
    "Teacher",
    "TrecCar",
    "TrecCarFiles",
    "TrecSettings",
    "Trial",
    "beir_digest",
    "build_mini_msmarco",
    "build_stdlib",
    "check_searchable",
    "collection_digest",
    "convert",
    "input_digests",
    "mine",
    "mined_sample",
    "open_probe",
    "parse_columns",
    "prepare_collection",
    "probe_digest",
    "read_answers",
    "read_collection",
    "read_groups",
    "read_ledger",
    "retrieve",
    "search",
    "search_all",
    "tune",
]
