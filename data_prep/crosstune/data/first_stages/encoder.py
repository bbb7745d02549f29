"""An encoder's vectors, by sentence-transformers: its pooling, its prompts and its further layers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from crosstune.data.first_stages.protocol import needs_extra
from crosstune.errors import InputError, first_line
from crosstune.files import sha256_folder
from crosstune.models import resolve_model
from crosstune.own_code import refuse_own_modules
from crosstune.parts import parts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Table = npt.NDArray[np.float32]
Role = Literal["query", "document"]
BATCH = 32


@dataclass(frozen=True)
class Encoded:
    """`vectors`: `[texts, dimension]`, fp32, not normalised; `cut`: which texts were too long."""

    vectors: Table
    cut: npt.NDArray[np.bool_]


class Encoder:
    """A folder without a `modules.json` is an encoder whose last hidden states are averaged."""

    def __init__(
        self, spec: str, max_tokens: int | None, query_prompt: str | None, passage_prompt: str | None
    ) -> None:
        """Raises `InputError` for a model that cannot be loaded or is asked for more tokens than it has
        positions, `MissingExtra` without sentence-transformers."""
        with needs_extra("an encoder", "dense"):
            import sentence_transformers  # noqa: F401
        self.spec = spec
        folder = resolve_model(spec)
        refuse_own_modules(folder)
        self.digest = sha256_folder(folder)
        self._model = _load(str(folder))
        self.max_tokens = _limit(self._model, max_tokens, spec)
        self._prompts = {
            "query": _prompt(query_prompt, self._model, ["query"]),
            "document": _prompt(passage_prompt, self._model, ["document", "passage", "corpus"]),
        }

    @property
    def dimension(self) -> int:
        return int(self._model.get_embedding_dimension())

    def prompt(self, role: Role) -> str:
        return self._prompts[role]

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        """Raises `InputError` when a vector holds NaN or infinity."""
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        prompt = self._prompts[role]
        vectors = np.asarray(
            encode(list(texts), prompt=prompt, batch_size=BATCH, show_progress_bar=False), dtype=np.float32
        ).reshape(len(texts), self.dimension)
        for text, row in zip(texts, vectors, strict=True):
            if not np.isfinite(row).all():
                raise InputError(
                    f"model {self.spec}: its vector of {text!r:.60} holds NaN or infinity; the model is "
                    "damaged: fetch or train it again"
                )
        return Encoded(vectors, self._cut([prompt + text for text in texts]))

    def _cut(self, texts: list[str]) -> npt.NDArray[np.bool_]:
        cut = [
            len(ids) > self.max_tokens
            for part in parts(map(len, texts))
            for ids in self._model.tokenizer(texts[part], truncation=False, verbose=False)["input_ids"]
        ]
        return np.array(cut, dtype=bool)


def unit(vectors: Table) -> Table:
    """The rows brought to length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Table = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def _load(folder: str) -> SentenceTransformer:
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # It warns of a folder without modules.json, which is a documented way to give an encoder.
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    try:
        return SentenceTransformer(
            folder, local_files_only=True, trust_remote_code=False, model_kwargs={"dtype": torch.float32}
        ).eval()
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{folder}: cannot be loaded as an encoder ({first_line(error)})") from None


def _limit(model: Any, wanted: int | None, spec: str) -> int:
    """The most ids of a text; set on the model."""
    own = model.max_seq_length
    positions = getattr(getattr(model[0], "auto_model", None), "config", None)
    most = getattr(positions, "max_position_embeddings", None) or own or wanted
    if wanted is not None and most is not None and wanted > most:
        raise InputError(
            f"model {spec}: it has {most} positions, max_tokens is {wanted}; give max_tokens={most} or less"
        )
    limit = int(wanted or own or most or 512)
    model.max_seq_length = limit
    return limit


def _prompt(wanted: str | None, model: Any, names: Sequence[str]) -> str:
    if wanted is not None:
        return wanted
    prompts = model.prompts or {}
    return next((prompts[name] for name in names if prompts.get(name)), "")
