"""What a diagnosis is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

DiagnosisName = Literal[
    "cut_to_the_query",
    "positives_equal_negatives",
    "one_class",
    "labels_reversed",
    "label_leak",
    "loss_is_no_number",
    "no_gradient",
    "frozen_head",
    "learning_rate_too_high",
    "did_not_learn",
    "length_bias",
    "over_fitting",
]


@dataclass(frozen=True)
class Diagnosis:
    """`what`: in words; `evidence`: figure by figure; `do`: what to do; `change`: recipe key -> the value to
    set, empty where no key mends it. docs/doctor.md explains each name."""

    name: DiagnosisName
    what: str
    evidence: Mapping[str, Any]
    do: str
    change: Mapping[str, Any]
