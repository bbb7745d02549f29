"""The wire formats, and which of them a path speaks.

Four of the six share `/v1/rerank` or `/rerank`, with fields that overlap: guessing from the fields would
answer some requests in the wrong form. So each has its prefix (`/jina/v1/rerank`), and a path without one
speaks the format of `BARE`, or that of `--style` where that format has the path.
"""

from __future__ import annotations

from crosstune.errors import InputError
from crosstune.serve.http.wire import cohere, infinity, jina, tei, vllm, voyage
from crosstune.serve.http.wire.style import Style

STYLES: dict[str, Style] = {
    module.STYLE.name: module.STYLE for module in (cohere, jina, voyage, tei, infinity, vllm)
}

BARE: dict[str, str] = {
    "/v2/rerank": "cohere",
    "/v1/rerank": "jina",
    "/rerank": "tei",
    "/score": "vllm",
    "/v1/score": "vllm",
}
"""Path without a prefix -> style."""


def check_style(style: str | None, named: str) -> None:
    """Raises `InputError`, which begins with `named`, for a style that is none."""
    if style is not None and style not in STYLES:
        raise InputError(f"{named} {style}: no such wire format; one of {', '.join(STYLES)}")


def paths(style: str | None) -> dict[str, tuple[Style, str]]:
    """Every served path -> its style and that style's own path. `style` takes all bare paths that it has."""
    bare = BARE | (dict.fromkeys(STYLES[style].paths, style) if style else {})
    found = {path: (STYLES[name], path) for path, name in bare.items()}
    for each in STYLES.values():
        found |= {each.prefix + path: (each, path) for path in each.paths}
    return found
