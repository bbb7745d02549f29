"""Which files of a collection's `qrels/` are read: the one place that knows their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import COMPRESSED, find_file
from crosstune.records import SPLITS, Split

_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid", "val"),
    "test": ("test",),
}


@dataclass(frozen=True)
class QrelsFiles:
    """`read`: split -> its file; `further`: other files of judgements."""

    read: dict[Split, Path]
    further: tuple[Path, ...]

    @property
    def passed_over(self) -> tuple[Path, ...]:
        """Where all splits are there, further files (`all.tsv`) are of no use; where one is missing, it may
        stand under another name."""
        return self.further if len(self.read) == len(SPLITS) else ()


def qrels_files(folder: Path) -> QrelsFiles:
    """Raises `InputError` where two files are of one split."""
    read = {split: found[0] for split in SPLITS if (found := _found(folder, split))}
    known = {name for names in _NAMES.values() for name in names}
    further = (path for path in sorted(folder.glob("*.tsv*")) if _stem(path) not in {"", *known})
    return QrelsFiles(read, tuple(further))


def split_file(folder: Path, split: Split) -> Path:
    """The file of the split in `qrels/`; the one that would be it where there is none."""
    return next(iter(_found(folder, split)), folder / f"{split}.tsv")


def split_of(path: Path) -> Split | None:
    """The split that a file of `qrels/` is of, by its name."""
    stem = path.name.partition(".")[0]
    return next((split for split, names in _NAMES.items() if stem in names), None)


def _found(folder: Path, split: Split) -> list[Path]:
    files = (find_file(folder / f"{name}.tsv") for name in _NAMES[split])
    found = [path for path in files if path.exists()]
    if len(found) > 1:
        raise InputError(
            f"{found[1]}: is of {split}, and so is {found[0].name} beside it; keep one, or move "
            "the other out of the folder"
        )
    return found


def _stem(path: Path) -> str:
    """`all` of `all.tsv` and `all.tsv.gz`; nothing for what is no such file, or hidden."""
    name = path.name.removesuffix(path.suffix) if path.suffix in COMPRESSED else path.name
    stem, _, suffix = name.rpartition(".")
    return stem if suffix == "tsv" and not name.startswith(".") else ""
