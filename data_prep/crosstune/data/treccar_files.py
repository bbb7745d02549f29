"""TREC-CAR's CBOR files, read as streams: the paragraphs and the outlines whose headings are the topics.

The format is that of http://trec-car.cs.unh.edu/datareleases/: a header `["CAR", [type], ...]`, then one list
without a length. Version 1.5 has the items alone. Every error names file and byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from crosstune.errors import InputError, MissingExtra

PAGES, OUTLINES, PARAGRAPHS = 0, 1, 2
_KINDS = {PAGES: "pages", OUTLINES: "outlines", PARAGRAPHS: "paragraphs"}
_LIST, _END = b"\x9f", b"\xff"
_TEXT, _LINK = 0, 1
_SECTION = 0


class Paragraph(NamedTuple):
    """A paragraph and the byte of the file that it begins at."""

    doc_id: str
    text: str
    byte: int


class Topic(NamedTuple):
    """A heading of a page with those above it, and the byte of the file that its page begins at."""

    query_id: str
    byte: int


def read_paragraphs(path: Path) -> Iterator[Paragraph]:
    """The paragraphs in the order of the file. Raises `InputError` for a file of another kind, one that is
    damaged or broken off, and `MissingExtra` without the package cbor2."""
    for byte, item in _items(path, PARAGRAPHS):
        yield _at(path, byte, paragraph, item, byte)


def read_topics(path: Path) -> Iterator[Topic]:
    """Every heading of an outlines file, the outer before the inner: `page id/heading id/heading id`. Pages
    themselves are no topics. Raises as `read_paragraphs`."""
    for byte, item in _items(path, OUTLINES):
        for query_id in _at(path, byte, _page_headings, item):
            yield Topic(query_id, byte)


def topic_text(query_id: str) -> str:
    """The query that Nogueira & Cho's code makes of a topic: its id without `enwiki:`, with spaces for `%20`
    and `/`. Other escapes stay as they are."""
    return query_id.replace("enwiki:", "").replace("%20", " ").replace("/", " ")


def paragraph(item: Any, byte: int) -> Paragraph:
    """A decoded paragraph: `[0, id, [body, ...]]`, where a body is `[0, text]` or a link `[1, [_, page,
    section, page id, anchor text]]`. The bodies are joined by spaces, as in Nogueira & Cho's code."""
    tag, doc_id, bodies = item
    if tag != 0:
        raise ValueError(f"a paragraph begins with 0, found {tag!r}")
    return Paragraph(doc_id.decode("ascii"), " ".join(_body(*body) for body in bodies), byte)


def decode_at(handle: BinaryIO, path: Path, byte: int) -> Paragraph:
    """The paragraph that begins at `byte` of an open file. Raises `InputError` as `read_paragraphs`."""
    handle.seek(byte)
    found: Paragraph = _at(path, byte, paragraph, _load(handle, path), byte)
    return found


def _body(tag: int, value: Any) -> str:
    if tag == _TEXT:
        return str(value)
    if tag == _LINK:
        return str(value[4])
    raise ValueError(f"a text (0) or a link (1) was expected, found {tag!r}")


def _page_headings(item: Any) -> list[str]:
    page_id, skeleton = item[2].decode("ascii"), item[3]
    return list(_headings(page_id, skeleton))


def _headings(above: str, skeleton: list[Any]) -> Iterator[str]:
    for part in skeleton:
        if part[0] == _SECTION:
            query_id = f"{above}/{part[2].decode('ascii')}"
            yield query_id
            yield from _headings(query_id, part[3])


def _items(path: Path, kind: int) -> Iterator[tuple[int, Any]]:
    """`(byte, decoded item)`."""
    try:
        handle = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    with handle:
        first = _load(handle, path)
        headed = isinstance(first, list) and first[:1] == ["CAR"]
        if headed:
            found = first[1][0]
            if found != kind:
                raise InputError(
                    f"{path}: is a file of {_KINDS.get(found, f'kind {found}')}, {_KINDS[kind]} were expected"
                )
            if handle.read(1) != _LIST:
                raise InputError(f"{path}:byte {handle.tell() - 1}: the list of {_KINDS[kind]} was expected")
        else:
            yield 0, first
        while (mark := handle.peek(1)[:1]) not in (_END, b""):
            byte = handle.tell()
            yield byte, _load(handle, path)
        if headed and not mark:
            raise InputError(
                f"{path}: breaks off after {handle.tell():,} bytes, before the end of its list; usually a "
                "download or an unpacking that broke off: fetch and unpack it again"
            )


def _load(handle: BinaryIO, path: Path) -> Any:
    try:
        import cbor2
    except ModuleNotFoundError:
        raise MissingExtra(f"{path}: reading TREC-CAR's CBOR", "formats") from None
    byte = handle.tell()
    try:
        return cbor2.load(handle)
    except (cbor2.CBORDecodeError, EOFError) as error:
        raise InputError(
            f"{path}:byte {byte}: is no CBOR from here on ({error}); the file is damaged or broke off: fetch "
            "and unpack it again"
        ) from None


def _at(path: Path, byte: int, read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` makes of a decoded item; what is not of its shape is an error at `byte`."""
    try:
        return read(*arguments)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise InputError(
            f"{path}:byte {byte}: not of TREC-CAR's format ({type(error).__name__}: {error})"
        ) from None
