"""Configured properties of text files, in the form that detection uses."""

from __future__ import annotations

from dataclasses import dataclass

from ml.preparation.detect.layout import QUOTE
from ml.settings.preparation import SEPARATORS, ReadSettings

FORMATS = {"double-colon": "::", "tsv": "\t", "csv": ","}  # formats that are only a separator
BACKSLASH, DOUBLED = "backslash", "doubled"
FIRST_LINE, NO_HEADER = "first-line", "none"
NO_QUOTE = "none"
QUOTES = {"double": QUOTE, "single": "'", NO_QUOTE: ""}


@dataclass(frozen=True)
class TextHints:
    """Configured properties of text; None for one to be detected."""

    separator: str | None = None  # as in a file
    quote: str | None = None  # the empty text: quotes have no meaning
    escape: str | None = None  # BACKSLASH or DOUBLED
    encoding: str | None = None
    has_header: bool | None = None

    @classmethod
    def from_settings(cls, read: ReadSettings) -> TextHints:
        """The properties that the settings give."""
        given = FORMATS.get(read.format) if read.separator is None else read.separator
        return cls(
            separator=None if given is None else SEPARATORS.get(given, given),
            quote=None if read.quote is None else QUOTES[read.quote],
            escape=read.escape,
            encoding=read.encoding,
            has_header=None if read.header is None else read.header == FIRST_LINE,
        )
