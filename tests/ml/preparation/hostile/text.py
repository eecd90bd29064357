"""Hostile text files: delimited text and JSON lines."""

from __future__ import annotations

import json
import random

from tests.ml.preparation.hostile.rows import HEADER, MEBIBYTE, json_objects, text_with, usable_lines

TIMES = (
    "-1 -62135596800 99999999999 1e400 1e18 0 1600000000000 0x5F5E100 9999-12-31 -0001-01-01 2024-02-30 "
    "2024-01-01T25:00:00Z NaN -Infinity 1_600 ١٦٠٠"
)


def times(mark: str, rng: random.Random) -> tuple[str, bytes]:
    times = [*TIMES.split(), "9" * 400]
    return ".csv", text_with(mark, rng, *(f"{mark}-u0,i1,{time}" for time in times)).encode()


IDS = '\'|"|""|"a ""b"""|"x\ny"|\u202e|../../x|${jndi:x}|=1+1|\ufeff'


def ids(mark: str, rng: random.Random) -> tuple[str, bytes]:
    ids = [*IDS.split("|"), "😀" * 20, "é" * 400]
    return ".csv", text_with(mark, rng, *(f"{mark}-{each},{each},1600000000" for each in ids)).encode()


def columns(mark: str, rng: random.Random) -> tuple[str, bytes]:
    counts = [1, 2, 4, 5, 300, rng.randrange(1000, 30_000)]
    quoted = '"a"' + "," * 25_000
    return ".csv", text_with(mark, rng, *(",".join([f"{mark}-x"] * n) for n in counts), quoted).encode()


def not_utf8(mark: str, rng: random.Random) -> tuple[str, bytes]:
    body = text_with(
        mark, rng, f"{mark}-né,i1,1600000000", f"{mark}-u1,“x”,1600000000", f"{mark}-u1,i1,1600000000é"
    )
    return ".csv", body.encode("cp1252")


def nul(mark: str, rng: random.Random) -> tuple[str, bytes]:
    lines = [
        f"{mark}-u\x00,i1,1600000000",
        f"{mark}-u1,\x00,1600000000",
        f"{mark}-u1,i1,16000\x0000000",
        "\x00" * 50,
    ]
    return ".csv", text_with(mark, rng, *lines).encode()


def long_line(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", text_with(mark, rng, rng.choice([",", "x", '"']) * (10 * MEBIBYTE)).encode()


def repeated_header(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", text_with(mark, rng, HEADER, HEADER).encode()


def duplicate_column(mark: str, rng: random.Random) -> tuple[str, bytes]:
    twice = rng.choice(["user_id", "item_id", "timestamp"])
    return ".csv", text_with(mark, rng, header=f"{HEADER},{twice}").encode()


def line_ends(mark: str, rng: random.Random) -> tuple[str, bytes]:
    text = text_with(mark, rng, "", "   ", "\t", f"{mark}-u1,,")
    bom = rng.choice(["", "\ufeff"])
    return rng.choice([".csv", ".txt"]), (
        bom + text.replace("\n", rng.choice(["\r\n", "\r", "\n\n"]))
    ).encode()


def bom_twice(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", ("\ufeff\ufeff" + text_with(mark, rng)).encode()


def separator(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", text_with(mark, rng).replace(",", rng.choice([";", "|", " ", ":", "\x01"])).encode()


def mixed_separators(mark: str, rng: random.Random) -> tuple[str, bytes]:
    bad = [line.replace(",", each) for each in (";", "\t", "::") for line in usable_lines(mark, rng)[:2]]
    return ".csv", text_with(mark, rng, *bad).encode()


def almost_empty(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", rng.choice(
        [b"", b"\n\n", b"\xef\xbb\xbf", HEADER.encode(), f"{HEADER}\n\n".encode(), b"\x00", b" "]
    )


def utf16(mark: str, rng: random.Random) -> tuple[str, bytes]:
    return ".csv", text_with(mark, rng).encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32"]))


def flipped(mark: str, rng: random.Random) -> tuple[str, bytes]:
    """A usable file with random bytes of its body replaced."""
    kind = rng.choice([".csv", ".tsv", ".jsonl"])
    if kind == ".jsonl":
        body = bytearray(json_objects(mark, rng))
        start = body.index(b"\n") + 1
    else:
        body = bytearray(text_with(mark, rng).replace(",", "," if kind == ".csv" else "\t").encode())
        start = len(HEADER) + 1
    for _ in range(rng.randrange(1, 30)):
        body[rng.randrange(start, len(body))] = rng.choice([rng.randrange(256), *b'",\n\r\t\x00{}[]:\\'])
    return kind, bytes(body)


NOT_OBJECTS = '[]|null|1|"x"|{|}|NaN|\ufeff'


def json_lines(mark: str, rng: random.Random) -> tuple[str, bytes]:
    whole = json_objects(mark, rng).decode().splitlines()
    first, *others = whole
    bad = [*NOT_OBJECTS.split("|"), "{}", "[" * 5000, '{"a":' * 2000, first[: rng.randrange(1, len(first))]]
    bad += [first + first, first + "]", f"[{first}]", f"{first},"]
    bad += [first.replace("item_id", "ITEM"), first.replace('"', "'")]
    odd = ({}, [], None, True, "\x00")
    bad += [json.dumps({"user_id": each, "item_id": each, "timestamp": each}) for each in odd]
    lines = [*others, *bad]
    rng.shuffle(lines)
    return rng.choice([".json", ".jsonl"]), "\n".join([first, *lines]).encode()


def json_array(mark: str, rng: random.Random) -> tuple[str, bytes]:
    objects = [json.loads(line) for line in json_objects(mark, rng).splitlines()]
    return ".json", json.dumps(objects, indent=rng.choice([None, 2])).encode()
