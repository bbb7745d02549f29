"""The export stage: a trained folder in, a folder that serving systems load out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.errors import InputError
from crosstune.export.calibration import UNCALIBRATED, Calibration
from crosstune.export.card import CARD
from crosstune.export.formats import write_further
from crosstune.export.gate import Sample
from crosstune.export.hf import write_hf_folder
from crosstune.export.onnx import write_onnx
from crosstune.export.parity import Parity, compare_logits
from crosstune.export.quantise import check_packages
from crosstune.export.settings import ExportSettings
from crosstune.files import sha256_file, staged_folder, write_text
from crosstune.progress import progress, say
from crosstune.serve.contents import CALIBRATION_PAGE, FILES
from crosstune.serve.manifest import ACTIVATION, read_manifest, schema_of
from crosstune.serve.pairs import EncodedPair, LengthRule, PairEncoder, model_input_names, pad
from crosstune.serve.seal import MANIFEST, write_manifest

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def export_model(
    model_folder: Path,
    rule: LengthRule,
    pairs: Sequence[tuple[str, str]],
    settings: ExportSettings,
    context: Mapping[str, Any],
    folder: Path,
    sample: Sample | None = None,
    calibration: Calibration = UNCALIBRATED,
    card: str | None = None,
) -> Parity:
    """Writes the Hugging Face folder with `onnx/model.onnx`, further formats and `manifest.json`.

    `pairs` are real `(query, passage)` pairs on which the export must give the trained model's logits;
    `context` goes into the manifest (base model, recipe, data fingerprint, metrics); further formats are
    compared on `sample`; `card` becomes the `README.md`. Raises `CheckFailed` when a logit of `onnx` differs
    by more than the tolerance; then nothing is left in `folder`. What `calibration` holds of dev is
    written as it is. A further format beyond its limits is left out, and said.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from crosstune.serve import Reranker

    if not pairs:
        raise InputError("there are no pairs to compare the export on: the first stage found nothing for dev")
    check_packages(settings.formats)
    model = AutoModelForSequenceClassification.from_pretrained(
        model_folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    ).eval()
    inputs = model_input_names(model.config)
    with staged_folder(folder) as out, progress("export, files", 3 + len(settings.further)) as advance:
        write_hf_folder(model_folder, rule, inputs, out)
        if calibration.page is not None:
            write_text(out / CALIBRATION_PAGE, calibration.page)
        if card is not None:
            write_text(out / CARD, card)
        advance(1)
        write_onnx(model, inputs, out / FILES["onnx"])
        advance(1)
        manifest = {
            "schema": schema_of(rule),
            "formats": {"onnx": FILES["onnx"]},
            "files": _files(out),
            "length_rule": rule.as_json(),
            "inputs": inputs,
            "pad_token_id": model.config.pad_token_id,
            "score_activation": ACTIVATION,
            **calibration.manifest,
            "fusion": None,
            "crosstune_version": version("crosstune"),
            **context,
            "limits": asdict(settings.limits),
            "parity": None,
        }

        def write(formats: Mapping[str, str], **more: object) -> None:
            listed = {"formats": dict(formats), "files": _files(out)}
            write_manifest(out, manifest | listed | more)

        write({"onnx": FILES["onnx"]})
        exported = [score.logit for score in Reranker(out, "onnx").score(pairs)]
        trained = _torch_logits(model, PairEncoder.from_folder(model_folder, rule), inputs, pairs)
        parity = compare_logits(trained, exported, settings.tolerance)
        _say(parity)
        advance(1)
        further = write_further(out, read_manifest(out), sample or Sample(), settings, write)
        advance(len(settings.further))
        results = {"onnx": asdict(parity), **further.parity}
        write(further.files, parity=results, refused_formats=further.refused)
    return parity


def _say(parity: Parity) -> None:
    say(
        f"  onnx against torch on {parity.pairs} pairs: largest logit difference "
        f"{parity.largest_difference:.1e}, Kendall tau {parity.kendall_tau:.4f}"
    )


def _files(folder: Path) -> dict[str, dict[str, object]]:
    return {
        path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path not in (folder / MANIFEST, folder / CARD)
    }


def _torch_logits(
    model: PreTrainedModel, encoder: PairEncoder, inputs: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> list[float]:
    """One window at a time: no batching that could hide a difference."""
    import torch

    def logit(window: EncodedPair) -> float:
        input_ids, mask, types = pad([window], model.config.pad_token_id)
        every = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": types}
        return float(model(**{n: torch.from_numpy(every[n]) for n in inputs}).logits[0, 0])

    with torch.inference_mode():
        return [max(map(logit, pair.windows)) for pair in encoder.encode(pairs)]
