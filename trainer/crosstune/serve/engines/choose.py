"""Which of an export's formats is run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from crosstune.errors import InputError
from crosstune.serve.engines.runtime import Format

if TYPE_CHECKING:
    from crosstune.serve.manifest import Manifest

FORMATS: tuple[Format, ...] = get_args(Format)
BACKENDS: tuple[str, ...] = ("auto", *FORMATS)
EXACT: tuple[Format, ...] = ("openvino", "onnx")
"""fp32, first the one that was the faster so far (docs/performance.md): what `auto` chooses among."""


def choose(manifest: Manifest, backend: str, folder: Path, threads: int) -> Format:
    """The format that `backend` names; `auto` is the fastest exact one that is there and whose packages are,
    with as many batches at once as `threads`.

    Raises `InputError` for a name that is none and for a format that the folder lacks.
    """
    formats = manifest.formats
    if backend == "auto":
        able = [kind for kind in EXACT if kind in formats and (kind == "onnx" or find_spec("openvino"))]
        if len(able) == 1:
            return able[0]
        from crosstune.serve.engines.measure import fastest  # what it imports takes time at each start

        return fastest(manifest, able, folder, threads)
    for known in FORMATS:
        if known == backend:
            if known in formats:
                return known
            raise InputError(
                f"{folder}: holds no {backend}, only {', '.join(formats)}; export it with "
                f"'export.formats=[onnx, {backend}]' (a format whose check failed is left out)"
            )
    raise InputError(f"backend is {backend!r}; one of {', '.join(BACKENDS)} was expected")
