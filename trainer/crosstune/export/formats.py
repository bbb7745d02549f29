"""The further formats of an export: made, checked through the helper, and kept only where they hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.export.gate import Sample, compare_ranking, score_sample
from crosstune.export.quantise import Batches, calibration_batches, methods
from crosstune.export.sensitivity import Layer, blame, layers_of
from crosstune.export.settings import ExportSettings
from crosstune.progress import say
from crosstune.records import Run
from crosstune.serve import Reranker
from crosstune.serve.contents import FILES
from crosstune.serve.engines import BATCH_TOKENS, Format
from crosstune.serve.manifest import Manifest
from crosstune.serve.pairs import PairEncoder

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

    int8 that costs the order is made again with the layers to blame in fp32, the worst, the two worst and so
    on, half of them at most. A format that is beyond its limits by every method is left
    out, said with the measured values, and the
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
    maker = _Maker(out, further, batches, sample, settings, write)
    for name in settings.further:
        maker.make(name)
    return further


@dataclass(frozen=True)
class _Maker:
    """Makes one format after the other in the export `out`."""

    out: Path
    further: Further
    batches: Batches
    sample: Sample
    settings: ExportSettings
    write: WriteManifest

    @cached_property
    def _exact(self) -> Run:
        return score_sample(Reranker(self.out, "onnx"), self.sample)

    def make(self, name: Format) -> None:
        """By the first method that holds; int8 that does not, again with the layers to blame in fp32."""
        for method in methods(name):
            if self._holds(name, method, ()):
                return
            if name.endswith("int8") and self._mixed(name, method):
                return
            self._remove(name)

    def _mixed(self, name: Format, method: str) -> bool:
        layers = layers_of(self.out / FILES["onnx"])
        if not layers:
            return False
        say(f"  {name} ({method}): looking for the layers to blame")
        found = blame(
            layers,
            lambda kept: self._written(name, method, kept, self.batches[::8]),
            self._exact,
            self.sample,
        )
        self.further.refused[name][method]["mean_change_by_layer"] = found.changes
        say(f"  {name} ({method}): {found}")
        count = 1
        while count <= len(layers) // 2:
            if self._holds(name, method, found.layers[:count]):
                return True
            count *= 2
        return False

    def _holds(self, name: Format, method: str, kept: Sequence[Layer]) -> bool:
        """Writes the format with the layers `kept` in fp32, and keeps it within its limits."""
        products = frozenset().union(*(layer.products for layer in kept))
        reranker = self._written(name, method, products, self.batches)
        parity = compare_ranking(reranker, self._exact, self.sample)
        labels = [layer.label for layer in kept]
        told = f"{method}; {', '.join(labels)} in fp32" if kept else method
        failures = parity.failures(name, self.settings)
        if name == "openvino-bf16" and reranker.precision != "bfloat16":
            failures.append("this CPU has no bf16 to compute in, so its order cannot be checked here")
        if failures:
            entry = {"reasons": failures, **asdict(parity)}
            self.further.refused.setdefault(name, {})[told] = entry
            say(f"  {name} ({told}) is not written: {'; '.join(failures)}. Measured: {parity}")
            return False
        self.further.files[name] = FILES[name]
        self.further.parity[name] = {"method": method, "fp32_layers": labels, **asdict(parity)}
        say(f"  {name} ({told}) against fp32: {parity}")
        return True

    def _written(self, name: Format, method: str, kept: Collection[str], batches: Batches) -> Reranker:
        target = self.out / FILES[name]
        target.parent.mkdir(exist_ok=True)
        if FILES[name] not in self.further.files.values():  # else the file of another format, made already
            methods(name)[method](self.out / FILES["onnx"], target, batches, kept)
        self.write(self.further.files | {name: FILES[name]})
        return Reranker(self.out, name)

    def _remove(self, name: Format) -> None:
        """But for a file that another format is computed from as well."""
        if FILES[name] in self.further.files.values():
            return
        target = self.out / FILES[name]
        for path in (target, target.with_suffix(".bin")):
            path.unlink(missing_ok=True)
        if not any(target.parent.iterdir()):
            shutil.rmtree(target.parent)


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
