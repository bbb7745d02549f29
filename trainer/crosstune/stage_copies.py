"""Stages that one run folder takes over from another, and what is deleted once a training was measured."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from crosstune.files import read_json, replace_folder, write_json
from crosstune.run import ROUND_1, RunFolder, StageName


def take_stages(source: RunFolder, target: RunFolder, names: Sequence[StageName]) -> None:
    """Copies the stages that `source` has done and `target` has not as they are, with their stamps."""
    for name in names:
        stamps = [folder.stamp(name) for folder in (source, target)]
        done, here = (read_json(stamp) if stamp.is_file() else {} for stamp in stamps)
        whole = all(folder.stage(name).is_dir() for folder in (source, target))
        if done.get("state") == "done" and source.stage(name).is_dir() and not (whole and done == here):
            target.root.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target.partial(name), ignore_errors=True)
            shutil.copytree(source.stage(name), target.partial(name))
            replace_folder(target.partial(name), target.stage(name))
            write_json(target.stamp(name), done)


def drop_weights(folder: RunFolder) -> None:
    """Deletes what was trained in both rounds and adapted, and leaves what was measured."""
    names: tuple[StageName, ...] = (ROUND_1["train"], "train")
    for name in names:
        folder.stamp(name).unlink(missing_ok=True)
        for place in (folder.stage(name), folder.partial(name)):
            for weights in ("model", "start", "checkpoints"):
                shutil.rmtree(place / weights, ignore_errors=True)
    shutil.rmtree(folder.stage("adapt"), ignore_errors=True)
