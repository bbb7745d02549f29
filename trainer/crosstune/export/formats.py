"""The further formats of an export: made, checked through the helper, and kept only where they hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.export.gate import RankParity, Sample, compare_ranking, score_sample
from crosstune.export.quantise import FILES, Batches, calibration_batches, methods
from crosstune.export.settings import ExportSettings
from crosstune.progress import say
from crosstune.serve import Reranker
from crosstune.serve.engines import Format
from crosstune.serve.manifest import Manifest
from crosstune.serve.pairs import PairEncoder
from crosstune.serve.reranker import BATCH_TOKENS

WriteManifest = Callable[[dict[str, str]], None]
"""Called with format -> file: the helper reads nothing that the manifest does not list."""


@dataclass
class Further:
    """`files`: format -> file; `parity`: of what was kept, with its method; `refused`: format -> method ->
    why and the values measured."""

    files: dict[str, str] = field(default_factory=lambda: {"onnx": FILES["onnx"]})
    parity: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_further(
    out: Path, manifest: Manifest, sample: Sample, settings: ExportSettings, write: WriteManifest
) -> Further:
    """Adds `settings.further` to the export in `out`, each made by the first method that holds.

    A format that is beyond its limits by every method is left out, said with the measured values, and the
    export goes on. Raises `InputError` when the sample has no queries or, for static int8, no pairs.
    """
    further = Further()
    if not settings.further:
        return further
    _check(sample, settings)
    batches: Batches = []
    if "openvino-int8" in settings.further:
        encoded = PairEncoder.from_folder(out, manifest.rule).encode(sample.calibration)
        rows = [window for pair in encoded for window in pair.windows]
        batches = calibration_batches(rows, manifest.inputs, manifest.pad_id, BATCH_TOKENS)
    exact = score_sample(Reranker(out, "onnx"), sample)
    for name in settings.further:
        target = out / FILES[name]
        for method, make in methods(name).items():
            target.parent.mkdir(exist_ok=True)
            make(out / FILES["onnx"], target, batches)
            write(further.files | {name: FILES[name]})
            parity = compare_ranking(Reranker(out, name), exact, sample)
            if failures := parity.failures(name, settings):
                _refuse(further, name, method, parity, failures)
                _remove(target)
                continue
            further.files[name] = FILES[name]
            further.parity[name] = {"method": method, **asdict(parity)}
            say(f"  {name} ({method}) against fp32: {parity}")
            break
    return further


def _check(sample: Sample, settings: ExportSettings) -> None:
    if not any(sample.candidates.values()):
        raise InputError(
            f"export.formats {', '.join(settings.further)}: there are no judged dev queries with candidates "
            "to compare the ranking on; give the collection a dev split or export onnx alone"
        )
    if "openvino-int8" in settings.further and not sample.calibration:
        raise InputError(
            "export.formats openvino-int8: there are no train pairs to measure int8's ranges on; give the "
            "collection a train split or leave the format out"
        )


def _refuse(further: Further, name: Format, method: str, parity: RankParity, failures: list[str]) -> None:
    further.refused.setdefault(name, {})[method] = {"reasons": failures, **asdict(parity)}
    say(f"  {name} ({method}) is not written: {'; '.join(failures)}. Measured: {parity}")


def _remove(target: Path) -> None:
    for path in (target, target.with_suffix(".bin")):
        path.unlink(missing_ok=True)
    if not any(target.parent.iterdir()):
        shutil.rmtree(target.parent)
