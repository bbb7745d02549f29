"""Wordpieces kept in a file: those of the tokenizer, found again, and not trusted when damaged."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from crosstune.records import Collection, Group
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.serve.windows import Windows
from crosstune.train import train
from crosstune.train.batching import Cuts, TokenizedGroups
from crosstune.train.doctor.facts import look_at
from crosstune.train.loop import GroupTrainer
from crosstune.train.token_file import TokenFile, tokenized
from families import FAMILIES, tiny_base
from models import tiny_cross_encoder
from training import dev_of, random_groups, random_text, tiny_settings

RULE = LengthRule(32, 12)
TEXTS = ["open file", "", "  ", "lone \ud800 surrogate", "[SEP] </s> sort", "list " * 40, "close"]


@pytest.fixture
def encoder(tmp_path: Path) -> PairEncoder:
    return PairEncoder.from_folder(tiny_cross_encoder(tmp_path / "base"), RULE)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are tokenised."""
    seen: list[str] = []
    words = PairEncoder.words

    def count(self: PairEncoder, texts: list[str]) -> object:
        seen.extend(texts)
        return words(self, texts)

    monkeypatch.setattr(PairEncoder, "words", count)
    return seen


@pytest.mark.parametrize("windows", [None, Windows(4, 5)])
@pytest.mark.parametrize("family", FAMILIES)
def test_groups_are_those_that_the_library_joins(
    tmp_path: Path, family: str, windows: Windows | None
) -> None:
    """Bit by bit and in their order, texts without words among them."""
    base, rule = tiny_base(tmp_path / "base", family), LengthRule(32, 12, windows=windows)
    rng = random.Random(0)
    texts = [*TEXTS, *(random_text(rng, length) for length in (1, 12, 30, 60, 200))]
    docs = [str(place) for place in range(len(texts))]
    groups = [Group(f"q{n}", query, docs, texts, [1] * len(texts), [], []) for n, query in enumerate(texts)]
    data = TokenizedGroups(groups, PairEncoder.from_folder(base, rule), tmp_path)
    library = Tokenizer.from_file(str(base / "tokenizer.json"))
    for index, query in enumerate(texts):
        row = data[index]
        assert row["labels"] == groups[index].labels
        for pair, text in zip(row["pairs"], texts, strict=True):
            assert [(own.input_ids, own.token_type_ids) for own in pair.windows] == _joined(
                library, rule, query, text
            )
    assert any(pair.further for index in range(len(data)) for pair in data[index]["pairs"]) == bool(windows)


def _joined(library: Tokenizer, rule: LengthRule, query: str, text: str) -> list[tuple[list[int], list[int]]]:
    """Each window's ids and segments; `truncate` works in place and cuts ends alone."""
    first, second = (
        library.encode(t.encode("utf-8", "replace").decode(), add_special_tokens=False) for t in (query, text)
    )
    words = second.ids
    first.truncate(rule.max_query_tokens)
    room = rule.max_tokens - library.num_special_tokens_to_add(True) - len(first)
    plan = rule.plan(len(words), room)
    second.truncate(len(plan[0]))
    joined = library.post_process(first, second, True)
    if len(plan) == 1:
        return [(joined.ids, joined.type_ids)]
    start = joined.sequence_ids.index(1)
    before, after = joined.ids[:start], joined.ids[start + room :]
    return [(before + words[own.start : own.stop] + after, joined.type_ids) for own in plan]


def test_ids_come_from_a_memory_map(encoder: PairEncoder, tmp_path: Path) -> None:
    found = tokenized(TEXTS, encoder, tmp_path / "kept")
    assert [words.ids for words in found] == [encoding.ids for encoding in encoder.words(TEXTS)]
    mapped = Path("/proc/self/maps").read_text()
    (path,) = (tmp_path / "kept").iterdir()
    (start, end) = next(
        (int(bound, 16) for bound in line.split()[0].split("-"))
        for line in mapped.splitlines()
        if line.endswith(str(path))
    )
    assert all(start <= words.row.ctypes.data < end for words in found if len(words))


def test_many_texts_are_written_in_parts(
    encoder: PairEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosstune.parts.ENCODED_CHARACTERS", 100)
    rng = random.Random(0)
    texts = [random_text(rng, rng.randrange(30)) + f" {number}" for number in range(50)]
    found = tokenized(texts, encoder, tmp_path)
    assert len(found) == 50
    assert [found[row].ids for row in range(50)] == [encoding.ids for encoding in encoder.words(texts)]


def test_a_file_that_is_there_is_read_and_nothing_tokenised(
    encoder: PairEncoder, tmp_path: Path, counted: list[str]
) -> None:
    first = tokenized(TEXTS, encoder, tmp_path / "kept")
    (path,) = (tmp_path / "kept").iterdir()
    state, number = path.stat(), len(counted)
    assert number == len(TEXTS)
    again = tokenized(TEXTS, encoder, tmp_path / "kept")
    assert len(counted) == number
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (state.st_ino, state.st_mtime_ns)
    assert _ids(again) == _ids(first)


@pytest.mark.parametrize("change", ["text", "order", "tokenizer", "characters", "style"])
def test_other_texts_or_another_tokenizer_have_another_file_in_its_place(
    encoder: PairEncoder, tmp_path: Path, change: str
) -> None:
    tokenized(TEXTS, encoder, tmp_path / "kept")
    (path,) = (tmp_path / "kept").iterdir()
    path.with_name(f".{path.name}.1.tmp").touch()  # of a call that was killed
    texts, rule, base = list(TEXTS), RULE, tmp_path / "base"
    if change == "text":
        texts[0] = "open files"
    elif change == "order":
        texts.reverse()
    elif change == "tokenizer":
        file = base / "tokenizer.json"
        file.write_text(file.read_text().replace('"lowercase": true', '"lowercase": false'))
    elif change == "characters":
        rule = LengthRule(31, 12)
    else:
        rule = LengthRule(32, 12, "nogueira_cho")
    other = PairEncoder.from_folder(base, rule)
    found = tokenized(texts, other, tmp_path / "kept")
    (now,) = (tmp_path / "kept").iterdir()
    assert now != path
    assert _ids(found) == [encoding.ids for encoding in other.words(texts)]


@pytest.mark.parametrize("damage", ["cut", "empty", "ids", "footer", "other file"])
def test_a_damaged_file_is_written_anew(encoder: PairEncoder, tmp_path: Path, damage: str) -> None:
    wanted = _ids(tokenized(TEXTS, encoder, tmp_path / "kept"))
    (path,) = (tmp_path / "kept").iterdir()
    whole = path.read_bytes()
    changed = bytearray(whole)
    if damage == "ids":
        at = whole.index(np.array(max(wanted, key=len)[:20], dtype=np.int32).tobytes())
        changed[at + 8] ^= 1
    elif damage == "footer":
        changed[-60:-20] = bytes(40)
    elif damage == "other file":
        tokenized(TEXTS[:2], encoder, tmp_path / "other")
        changed[:] = next((tmp_path / "other").iterdir()).read_bytes()
    else:
        changed = changed[: 0 if damage == "empty" else len(changed) // 2]
    path.write_bytes(changed)
    assert _ids(tokenized(TEXTS, encoder, tmp_path / "kept")) == wanted
    assert path.read_bytes() == whole


def test_a_full_disk_is_told_with_the_file_and_leaves_none(encoder: PairEncoder, small_disk: Path) -> None:
    texts = [f"file {number} " * 8 for number in range(6000)]
    with pytest.raises(OSError, match="No space left on device") as raised:
        tokenized(texts, encoder, small_disk / "kept")
    assert raised.value.filename.endswith(".arrow")
    assert list((small_disk / "kept").iterdir()) == []


def test_a_text_beyond_the_characters_counts_as_cut(tmp_path: Path) -> None:
    """It is read no further than in serving; of its windows every word up to there fits."""
    rule = LengthRule(32, 12, windows=Windows(0, 100))
    encoder = PairEncoder.from_folder(tiny_cross_encoder(tmp_path / "base"), rule)
    docs = [f"open{' ' * rule.characters}close", f"open{' ' * rule.characters}", "open"]
    group = Group("q", "sort", ["a", "b", "c"], docs, [1, 0, 0], [None] * 3, [None] * 3)
    data = TokenizedGroups([group], encoder, tmp_path / "kept")
    assert data[0]["pairs"] == encoder.encode([("sort", doc) for doc in docs])
    assert [pair.cut_passage for pair in data[0]["pairs"]] == [1, 0, 0]
    assert [data.tokens(doc) for doc in docs] == [data.tokens("open") + 1, *[data.tokens("open")] * 2]
    assert data.cuts() == Cuts(3, 0, 1, 1, 0)
    assert look_at([group], data, Collection("", {}, {}, {}), {}).equal_inputs == 1


@pytest.mark.parametrize("cached", [True, False])
def test_a_training_that_goes_on_finds_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """That of a cache stays; else it goes with the checkpoints."""
    groups, cache, out = random_groups(16), tmp_path / "cache" if cached else None, tmp_path / "out"
    collection, run = dev_of(groups[:4])
    base, settings = str(tiny_cross_encoder(tmp_path / "base")), tiny_settings(teacher="none", epochs=1)
    out.mkdir()
    loss, states = GroupTrainer.compute_loss, []

    def step(self: GroupTrainer, *arguments: object, **named: object) -> object:
        (path,) = ((cache or out) / "tokens").iterdir()
        states.append((path.name, path.stat().st_ino, path.stat().st_mtime_ns))
        if len(states) == 1:
            raise KeyboardInterrupt
        return loss(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(GroupTrainer, "compute_loss", step)
    with pytest.raises(KeyboardInterrupt):
        train(groups, collection, run, base, settings, 5, out, cache=cache)
    train(groups, collection, run, base, settings, 5, out, cache=cache)
    assert len(states) == 3
    assert len(set(states)) == 1
    assert ((cache or out) / "tokens").is_dir() == cached
    assert not (out / "tokens").exists()


def _ids(kept: TokenFile) -> list[list[int]]:
    return [words.ids for words in kept]
