"""What a training starts from: a base or the comparison of its vectors, and the groups that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.files import read_json, replace_folder, write_json
from crosstune.heap import give_back
from crosstune.models import has_ranking_head
from crosstune.progress import say
from crosstune.records import Collection, Group, Run
from crosstune.train.comparison import can_compare, start_as_comparison
from crosstune.train.comparison.exact import compare_in_fp32
from crosstune.train.comparison.segments import Markers, hold_marks
from crosstune.train.config import TrainSettings
from crosstune.train.layers import freeze, layers_of, with_layers
from crosstune.train.lora import add_adapters
from crosstune.train.model import load_cross_encoder, set_dropout
from crosstune.train.teacher import OwnVectors, have_teacher

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.serve.pairs import PairEncoder
    from crosstune.train.bi_encoder import BiEncoder

MARKERS = "markers.json"


def begin(
    network: PreTrainedModel,
    base: Path,
    groups: Sequence[Group],
    collection: Collection,
    dev: Run,
    encoder: PairEncoder,
    settings: TrainSettings,
    *,
    bf16: bool,
    seed: int,
    folder: Path,
) -> tuple[PreTrainedModel, list[Group]]:
    """The network to train and the groups to train it on.

    `network` is what was loaded from `base`. Where its vectors and the first stage together rank dev better
    than the first stage, the groups get their scores, unless mining's teacher gave them its own; a base
    without a ranking head starts as the comparison of its vectors where these are not far worse than the
    first stage. That is kept as `start` in `folder`, so that an interrupted training builds it once and
    `crosstune merge` finds it. What of the network is trained is settled here as well.
    """
    start = folder / "start"
    if settings.layers is not None:
        base = with_layers(base, settings.layers, encoder.rule, seed, folder)
        network = load_cross_encoder(base, encoder.rule, seed)
    compare = settings.comparison and not has_ranking_head(base) and can_compare(network.config)
    if settings.teacher != "none" and (compare or not have_teacher(groups)):
        build = partial(_build, start, network, encoder, seed) if compare else None
        own = OwnVectors(base, settings.teacher, settings.max_tokens, folder, seed, bf16, build)
        groups = own.teach(groups, collection, dev)
        give_back()
    if start.is_dir():
        network = load_cross_encoder(start, encoder.rule, seed)
        compare_in_fp32(network)
        say(f"  it starts as a comparison of the vectors: {network.config.num_hidden_layers} layers")
    set_dropout(network, settings.dropout)
    _choose_trained(network, settings, start.is_dir(), seed)
    if start.is_dir():
        hold_marks(network.base_model, Markers(**read_json(start / MARKERS)))
    return network, list(groups)


def _choose_trained(network: PreTrainedModel, settings: TrainSettings, compares: bool, seed: int) -> None:
    """Freezes and adapts layers of the base; the layer that compares belongs to the head."""
    frozen = settings.freeze_layers
    if frozen is None and settings.lora.rank is None:
        return
    of_base = len(layers_of(network)[1]) - compares
    if frozen is not None:
        freeze(network, frozen, of_base)
    add_adapters(network, settings.lora, frozen or 0, of_base, seed)


def _build(
    start: Path,
    network: PreTrainedModel,
    encoder: PairEncoder,
    seed: int,
    vectors: BiEncoder,
    taught: Sequence[Group],
) -> None:
    start_as_comparison(network, vectors, encoder, taught, seed)
    network.save_pretrained(start.with_suffix(".partial"))
    if vectors.markers is not None:
        write_json(start.with_suffix(".partial") / MARKERS, asdict(vectors.markers))
    replace_folder(start.with_suffix(".partial"), start)
