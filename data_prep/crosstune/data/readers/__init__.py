"""Readers: an input in, a stream of small records out. A module a family of formats; `recognise` chooses."""

from crosstune.data.readers.recognise import FORMATS, open_reader
from crosstune.data.readers.records import Reader
from crosstune.data.readers.source import Source, parse_columns, parse_source, with_options

__all__ = ["FORMATS", "Reader", "Source", "open_reader", "parse_columns", "parse_source", "with_options"]
