"""Character encoding of text, from its first bytes.

Rules instead of a library: the statistical detectors need prose, and a file of ids has a few short words in
lines of digits (``docs/adr/0024-how-an-input-is-detected-and-fixed.md`` has the comparison).
"""

from __future__ import annotations

import re

from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.layout import ENCODINGS

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
_UTF_32 = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
REPLACEMENT = "\ufffd"
_LONGEST = 4  # bytes of one character: as many can be missing at the end of a sample
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
_UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")

_HANGUL = re.compile("[\uac00-\ud7a3]")
_KANA = re.compile("[\u3041-\u30ff]")
_OTHER_THAN_ASCII = re.compile(r"[^\x00-\x7f]")
_MIN_HANGUL = 0.85  # Chinese text, read as Korean, is Hangul to less than two thirds
_MIN_KANA = 0.3
_MAX_INVALID = 0.1  # of the characters that are not ASCII
_MIN_NULS = 0.25  # of the bytes of UTF-16 text that is mostly ASCII


def detect_encoding(head: bytes) -> tuple[str, int]:
    """The canonical name of the encoding, and the length of the byte order mark.

    Args:
        head: the first bytes, which may end inside a character.

    Raises:
        InputError: UTF-32.
    """
    if head.startswith(_UTF_32):
        raise InputError("UTF-32 text; convert it to UTF-8")
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    if head.count(b"\x00") >= _MIN_NULS * max(len(head), 1):
        return ("utf-16le" if head[1::2].count(0) > head[::2].count(0) else "utf-16be"), 0
    if _is_mostly_utf_8(head):
        return "utf-8", 0
    return _legacy_encoding(head), 0


def decode(content: bytes, encoding: str) -> str:
    """Text of bytes without a byte order mark; invalid bytes are replaced."""
    return content.decode(ENCODINGS[encoding].python, "replace")


def require_encoding(text: str, encoding: str) -> None:
    """Check that a text was decoded with an encoding that it may have been written in.

    Raises:
        InputError: many of its characters are replacements of invalid bytes.
    """
    n_invalid = text.count(REPLACEMENT)
    if n_invalid > _MAX_INVALID * len(_OTHER_THAN_ASCII.findall(text)):
        raise InputError(f"{n_invalid} bytes in its first lines are not {encoding}; give another --encoding")


def _is_mostly_utf_8(head: bytes) -> bool:
    """Whether text is UTF-8, with at most as many invalid bytes as valid characters that are not ASCII.

    Some rows of a UTF-8 file can be broken; they are then quarantined one by one.
    """
    body = head[:-_LONGEST] if len(head) > _LONGEST else head
    characters = _UTF_8.findall(body)
    n_invalid = sum(map(len, _NOT_ASCII.findall(body))) - sum(map(len, characters))
    return n_invalid <= (0 if not characters else len(characters) + _LONGEST - 1)


def _legacy_encoding(head: bytes) -> str:
    """Korean, Japanese or Chinese if the bytes come in pairs that give such text; else latin-1."""
    runs = [len(run) for run in _NOT_ASCII.findall(head)]
    if 2 * runs.count(1) <= len(runs):  # letters with accents are mostly alone between ASCII letters
        for name, letters, least in (
            ("cp949", _HANGUL, _MIN_HANGUL),
            ("shift_jis", _KANA, _MIN_KANA),
            ("euc-jp", _KANA, _MIN_KANA),
        ):
            if _share(head, name, letters) >= least:
                return name
        if _share(head, "gb18030", _OTHER_THAN_ASCII) == 1:
            return "gb18030"
    return "latin-1"


def _share(head: bytes, encoding: str, letters: re.Pattern[str]) -> float:
    """Share of some letters among the characters that are not ASCII; 0 if bytes are not of the encoding."""
    for missing in range(_LONGEST):
        try:
            text = head[: len(head) - missing].decode(ENCODINGS[encoding].python)
        except UnicodeDecodeError as error:
            if error.end < len(head) - _LONGEST:
                return 0.0
            continue
        found = _OTHER_THAN_ASCII.findall(text)
        return len(letters.findall(text)) / len(found) if found else 0.0
    return 0.0
