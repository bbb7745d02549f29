"""Queries by a seq2seq model that was trained to write them, as docTTTTTquery.

Nogueira, Lin 2019, "From doc2query to docTTTTTquery": top-k sampling with k = 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.device import device, is_out_of_memory
from crosstune.endpoints.kept import Kept, content_digest, kept_answers
from crosstune.errors import CheckFailed, InputError, first_line
from crosstune.files import read_json, sha256_folder
from crosstune.labels.parse import clean_query
from crosstune.models import resolve_model
from crosstune.progress import progress

if TYPE_CHECKING:
    import torch

TOP_K = 10
BATCH = {"cpu": 8, "cuda": 64}
"""Passages that are generated for together."""


@dataclass(frozen=True)
class Seq2SeqSettings:
    """`model`: `package:`, `hub:` or a folder; `prefix`: put before a passage, for models that were trained
    with one; `passage_tokens`, `query_tokens`: at most, ids; `queries`: a passage."""

    model: str
    queries: int
    prefix: str = ""
    passage_tokens: int = 384
    query_tokens: int = 64
    seed: int = 13


@dataclass(frozen=True)
class Written:
    """`queries`: by the passage's text; `cut`: passages that had more than `passage_tokens`; `kept`: of them,
    from earlier calls."""

    queries: dict[str, list[str]]
    cut: int
    kept: int


def write_queries(settings: Seq2SeqSettings, passages: Sequence[str], store: Path, *, fresh: bool) -> Written:
    """Samples queries for each passage. What is written is kept in the file `store` after each batch, by the
    bytes of the model, the settings and the passage, so that a killed call goes on.

    Raises `InputError` for a model that is no seq2seq model or cannot be loaded.
    """
    folder = resolve_seq2seq(settings.model)
    with kept_answers(store, fresh=fresh) as kept:
        return _Writer(folder, settings, kept).write(list(dict.fromkeys(passages)))


def resolve_seq2seq(spec: str) -> Path:
    """The folder of `--seq2seq`. Raises `InputError` when there is none, or when it holds another model."""
    try:
        folder = resolve_model(spec)
    except InputError as error:
        raise InputError(f"--seq2seq: {error}") from None
    config = read_json(folder / "config.json")
    if not config.get("is_encoder_decoder"):
        raise InputError(
            f"--seq2seq: {spec} is no seq2seq model (config.json: model_type is "
            f"{config.get('model_type')!r}); name one that was trained to write queries, such as "
            "hub:doc2query/msmarco-t5-base-v1"
        )
    return folder


class _Writer:
    def __init__(self, folder: Path, settings: Seq2SeqSettings, kept: Kept) -> None:
        self._folder, self._settings, self._kept = folder, settings, kept
        self._model_digest = sha256_folder(folder)

    def write(self, passages: list[str]) -> Written:
        found: dict[str, dict[str, Any]] = {}
        for passage in passages:
            if (known := self._kept.find(self._key(passage))) is not None:
                found[passage] = known
        from_before = len(found)
        new = [passage for passage in passages if passage not in found]
        if new:
            model, tokenizer = _load(self._folder)
            size = BATCH.get(model.device.type, BATCH["cpu"])
            with progress("queries, passages", len(new)) as advance:
                for start in range(0, len(new), size):
                    batch = new[start : start + size]
                    for passage, row in zip(batch, self._generate(model, tokenizer, batch), strict=True):
                        self._kept.keep(self._key(passage), row)
                        found[passage] = row
                    advance(len(batch))
        return Written(
            {passage: list(found[passage]["queries"]) for passage in passages},
            sum(bool(found[passage]["cut"]) for passage in passages),
            from_before,
        )

    def _generate(self, model: Any, tokenizer: Any, batch: list[str]) -> list[dict[str, Any]]:
        """A row a passage. The draw depends on the seed and the batch's texts, not on what came before it. A
        batch that a GPU has no room for is halved."""
        import torch

        settings = self._settings
        texts = [settings.prefix + passage for passage in batch]
        lengths = [len(ids) for ids in tokenizer(texts, truncation=False, verbose=False)["input_ids"]]
        inputs = tokenizer(
            texts, truncation=True, max_length=settings.passage_tokens, padding=True, return_tensors="pt"
        )
        torch.manual_seed(int.from_bytes(content_digest(str(settings.seed), *texts)[:4], "big"))
        try:
            with torch.inference_mode():
                drawn: torch.Tensor = model.generate(
                    input_ids=inputs["input_ids"].to(model.device),
                    attention_mask=inputs["attention_mask"].to(model.device),
                    do_sample=True,
                    top_k=TOP_K,
                    num_beams=1,
                    max_new_tokens=settings.query_tokens,
                    num_return_sequences=settings.queries,
                )
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise CheckFailed(
                    f"out of memory: no room for one passage of {lengths[0]} tokens; lower --passage-tokens"
                ) from None
            half = len(batch) // 2
            return [row for part in (batch[:half], batch[half:])
                    for row in self._generate(model, tokenizer, part)]  # fmt: skip
        said = tokenizer.batch_decode(drawn, skip_special_tokens=True)
        rows = []
        for place, length in enumerate(lengths):
            own = said[place * settings.queries : (place + 1) * settings.queries]
            queries = list(dict.fromkeys(clean for text in own if (clean := clean_query(text))))
            rows.append({"queries": queries, "cut": length > settings.passage_tokens})
        return rows

    def _key(self, passage: str) -> bytes:
        settings = self._settings
        numbers = (settings.queries, settings.passage_tokens, settings.query_tokens, settings.seed, TOP_K)
        return content_digest("seq2seq", self._model_digest, settings.prefix, repr(numbers), passage)


def _load(folder: Path) -> tuple[Any, Any]:
    """Model, in evaluation mode on the device that computes, and tokenizer."""
    from safetensors import SafetensorError
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return model.eval().to(device()), tokenizer
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise InputError(
            f"--seq2seq: {folder}: cannot be loaded ({first_line(error)}); fetch it again. Models without "
            "tokenizer.json need pip install sentencepiece"
        ) from None
