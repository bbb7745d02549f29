"""Which of an export's exact formats is the fastest on this machine: measured once, and kept."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from crosstune.cache import cache_folder
from crosstune.errors import InputError
from crosstune.files import read_json, sha256_file, write_json
from crosstune.machine import cpu_name
from crosstune.serve.engines.forward import Forward, open_forward
from crosstune.serve.engines.runtime import Format
from crosstune.serve.manifest import Manifest
from crosstune.serve.pairs import EncodedPair
from crosstune.serve.seal import MANIFEST

SWITCH = "CROSSTUNE_MEASURE"
"""This variable with the value 0 switches the measurement off."""
SECONDS = 10.0
"""For all formats together, loading included; a turn that has begun is ended."""
TURN_SECONDS = 0.4
TURNS = 3
LENGTHS = (32, 256, 64, 128)
"""Ids of the rows, over and over, as far as the export reads so many."""
PACKAGES = ("onnxruntime", "openvino")


def fastest(manifest: Manifest, able: Sequence[Format], folder: Path, threads: int) -> Format:
    """The one of `able` whose best of `TURNS` turns takes the least time a token, with as many batches at
    once as `threads`. What was found is kept in the cache folder, for this export, processor and number of
    cores and these versions.

    The first of `able`, unmeasured, where `CROSSTUNE_MEASURE` is 0 and where nothing could be kept: each
    start would measure again. Raises what loading a format raises.
    """
    if os.environ.get(SWITCH) == "0":
        return able[0]
    try:
        kept = cache_folder("kernels") / f"{_key(folder, threads)}.json"
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return able[0]
    if (found := _kept(kept, able)) is not None:
        return found
    if not os.access(kept.parent, os.W_OK):
        return able[0]
    seconds = {kind: _seconds_a_token(manifest, kind, folder, threads, SECONDS / len(able)) for kind in able}
    best = min(able, key=seconds.__getitem__)
    with suppress(OSError):  # a full disk: the next start measures again
        write_json(kept, {"fastest": best, "seconds_a_token": seconds})
    return best


def _seconds_a_token(manifest: Manifest, kind: Format, folder: Path, threads: int, seconds: float) -> float:
    until = time.perf_counter() + seconds
    forward = open_forward(manifest, kind, folder, threads)
    few = _rows(manifest, 2 * threads)
    _turn(forward, few)  # a first use sets up what later ones find
    pace = _turn(forward, few)
    rows = _rows(manifest, max(2 * threads, int(len(few) * TURN_SECONDS / (pace * _tokens(few)))))
    best = pace
    for _ in range(TURNS):
        if time.perf_counter() + best * _tokens(rows) > until:
            break
        best = min(best, _turn(forward, rows))
    return best


def _turn(forward: Forward, rows: Sequence[EncodedPair]) -> float:
    """Seconds a token."""
    started = time.perf_counter()
    forward.logits(rows)
    return (time.perf_counter() - started) / _tokens(rows)


def _rows(manifest: Manifest, count: int) -> list[EncodedPair]:
    """Rows of one id over and over: how long a model takes does not depend on which it reads."""
    lengths = [min(length, manifest.rule.max_tokens) for length in LENGTHS]
    wanted = [lengths[index % len(lengths)] for index in range(min(count, 64))]
    return [EncodedPair([manifest.pad_id] * length, [0] * length, 0, 0) for length in wanted]


def _tokens(rows: Sequence[EncodedPair]) -> int:
    return sum(len(row) for row in rows)


def _kept(path: Path, able: Sequence[Format]) -> Format | None:
    """What an earlier measurement found; `None` where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        found = read_json(path).get("fastest")
    except (InputError, AttributeError):
        return None
    return next((kind for kind in able if kind == found), None)


def _key(folder: Path, threads: int) -> str:
    versions = {package: _version(package) for package in PACKAGES}
    about = [sha256_file(folder / MANIFEST), cpu_name(), threads, versions]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
