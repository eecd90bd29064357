"""One rule for ids: preparation, contract, inference container, Lambda function and OpenAPI file agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from ml import contract
from ml.preparation.clean.validation import validate_events
from ml.preparation.detect.columns import ColumnNames
from ml.preparation.read.events import read_events
from ml.preparation.read.sources import list_sources
from ml.preparation.read.times import with_timestamp
from ml.preparation.spark.storage import Storage
from ml.serving import inference
from ml.serving.request import RequestError
from ml.settings.preparation import ReadSettings, WeightSettings
from tests.lambdas.functions import load
from tests.lambdas.recommend.api import API, validator

# Text in a file -> the id that it stands for, or the reason of its quarantine.
IDS: dict[str, str] = {
    "7": "7",
    "7.0": "7",
    "7.000000000": "7",
    "108448321.000000000": "108448321",
    "-7.0": "-7",
    "-0.0": "0",
    "007.0": "007",
    "7.5": "7.5",
    "7.50": "7.50",
    "7.": "7.",
    ".0": ".0",
    "v7.0": "v7.0",
    "7.0.0": "7.0.0",
    "1e5": "1e5",
    "  7  ": "7",
    "u1\t": "u1",
    "\u00a0u1\u3000": "u1",
    "u1\u202f": "u1",
    "7.0\u00a0": "7",
    "\tu1\r\n": "u1",
    "a b": "a b",
    "a/b": "a/b",
    "한글": "한글",
    "..": "..",
    "x" * 300: "x" * 300,
    "ü" * 256: "ü" * 256,
    "😀" * 128: "😀" * 128,
}
UNUSABLE: dict[str, str] = {
    "": "missing_user",
    "   ": "missing_user",
    "\t": "missing_user",
    "\u3000": "missing_user",
    **dict.fromkeys(["NULL", " nan ", "None", "\\N", "NA", "(not set)", "undefined"], "missing_user"),
    "a\tb": "control_character_in_id",
    "a\nb": "control_character_in_id",
    "nul\x00": "control_character_in_id",
    "del\x7f": "control_character_in_id",
    "x" * 513: "id_too_long",
    "ü" * 257: "id_too_long",
}


@pytest.fixture(scope="module")
def logic() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("recommend", "logic", monkeypatch)


@pytest.fixture(scope="module")
def ids() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("recommend", "ids", monkeypatch)


def is_accepted(logic: ModuleType, text: str) -> bool:
    """Whether the Lambda function takes the text, unchanged, as a user id."""
    try:
        return logic.id_of("user_id", text) == text
    except logic.ApiError:
        return False


def is_served(text: str) -> bool:
    """Whether the inference container takes the text as a user id."""
    try:
        (instance,) = inference.input_fn(json.dumps({"instances": [{"user_id": text}]}), "application/json")
    except RequestError as error:
        assert str(error).startswith("instances[0].user_id: ")  # noqa: PT017
        return False
    return instance.user_id == text


@pytest.mark.spark
@pytest.mark.parametrize("column", ["user", "item"])
def test_preparation_keeps_normalises_or_quarantines_every_id(spark: SparkSession, column: str) -> None:
    texts = [*IDS, *UNUSABLE]
    rows = [
        ("", "", None, *((text, "other") if column == "user" else ("other", text)), "881250949", None)
        for text in texts
    ]
    schema = "raw string, source string, problem string, user string, item string, time string, value string"
    validated = validate_events(
        with_timestamp(spark.createDataFrame(rows, schema), "seconds"), WeightSettings()
    ).collect()
    found = {text: row["reason"] or row[f"{column}_id"] for text, row in zip(texts, validated, strict=True)}
    reasons = {text: reason.replace("user", column) for text, reason in UNUSABLE.items()}
    assert found == {**IDS, **reasons}


# From ten million on, Java writes a double with an exponent.
NUMBERS = [0, 7, 12, 9_999_999, 10_000_000, 108_448_321, 9_007_199_254_740_992]
TIME = 881250949


def written(folder: Path, name: str) -> Path:
    """A file of events of the users `NUMBERS`, each with the item of the same number."""
    path = folder / name
    if name.endswith(".parquet"):
        kind = {"double": pa.float64(), "decimal": pa.decimal128(27, 9), "integer": pa.int64()}[path.stem]
        ids = pa.array([Decimal(number) for number in NUMBERS]).cast(kind)
        table = {"user_id": ids, "item_id": ids, "timestamp": pa.array([TIME] * len(NUMBERS))}
        pq.write_table(pa.table(table), path)
        return path
    row = {
        "float.csv": "{0}.0,{0}.000000000,{1}",
        "integer.csv": "{0},{0},{1}",
        "float.jsonl": '{{"user_id": {0}.0, "item_id": {0}.00, "timestamp": {1}}}',
        "text.jsonl": '{{"user_id": "{0}.0", "item_id": "{0}", "timestamp": {1}}}',
    }[name]
    header = ["user_id,item_id,timestamp"] if name.endswith(".csv") else []
    path.write_text("\n".join([*header, *(row.format(number, TIME) for number in NUMBERS), ""]))
    return path


def prepared_ids(spark: SparkSession, path: Path) -> list[tuple[str, str]]:
    """The ids that the preparation keeps of a file."""
    storage = Storage(spark)
    files = list_sources(storage, str(path), "20261123T020000Z")
    events = read_events(spark, storage, files, ReadSettings(), ColumnNames()).rows
    rows = validate_events(events, WeightSettings()).collect()
    assert {row["reason"] for row in rows} == {None}
    return [(row["user_id"], row["item_id"]) for row in rows]


@pytest.mark.spark
@pytest.mark.parametrize(
    "name",
    [
        *("float.csv", "integer.csv", "float.jsonl", "text.jsonl"),
        *("double.parquet", "decimal.parquet", "integer.parquet"),
    ],
)
def test_whole_number_is_one_id_in_every_format(spark: SparkSession, tmp_path: Path, name: str) -> None:
    assert prepared_ids(spark, written(tmp_path, name)) == [(str(number), str(number)) for number in NUMBERS]


@pytest.mark.spark
def test_text_that_looks_like_a_number_with_an_exponent_is_kept(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_text(
        f'{{"user_id": "1.5E7", "item_id": "i", "timestamp": {TIME}}}\n'
        f'{{"user_id": 12345678.9, "item_id": 1.5E7, "timestamp": {TIME}}}\n'
        f'{{"user_id": 1.0E40, "item_id": 1.25E27, "timestamp": {TIME}}}\n'
    )
    assert prepared_ids(spark, path) == [
        ("1.5E7", "i"),
        ("12345678.9", "15000000"),
        ("1.0E40", f"125{'0' * 25}"),
    ]


@pytest.mark.parametrize("text", IDS)
def test_contract_has_the_rule_of_the_preparation(text: str) -> None:
    assert contract.canonical_id(text) == IDS[text]
    assert contract.canonical_id(IDS[text]) == IDS[text]
    assert contract.is_id(IDS[text])


@pytest.mark.parametrize("text", IDS.values())
def test_every_prepared_id_can_be_asked_for(logic: ModuleType, text: str) -> None:
    assert is_accepted(logic, text)
    assert is_served(text)
    assert validator({"$ref": "urn:api#/components/schemas/UserId"}).is_valid(text)


@given(st.text(max_size=20) | st.from_regex(r"[ \u3000]*-?[0-9]{1,4}(\.0+)?[ \u00a0]*", fullmatch=True))
def test_normalised_id_is_normalised(text: str) -> None:
    once = contract.canonical_id(text)
    assert contract.canonical_id(once) == once
    assert contract.is_missing_id(text) == contract.is_missing_id(once)


@given(st.text(min_size=1, max_size=600) | st.sampled_from([*IDS, *UNUSABLE, "\ud800"]))
def test_container_function_and_openapi_file_accept_the_ids_of_the_contract(
    logic: ModuleType, text: str
) -> None:
    wanted = contract.is_id(text)
    assert is_accepted(logic, text) == wanted
    assert is_served(text) == wanted
    # JSON Schema counts characters, not bytes: the description has the limit.
    fits = len(text.encode(errors="replace")) <= contract.MAX_ID_BYTES and "\ud800" not in text
    assert (validator({"$ref": "urn:api#/components/schemas/UserId"}).is_valid(text) and fits) == wanted


@given(st.text(max_size=20) | st.sampled_from([*IDS, *UNUSABLE, "-0.0", " 12.00 ", "1.5"]))
def test_function_has_the_canonical_ids_of_the_contract(ids: ModuleType, text: str) -> None:
    assert ids.canonical_id(text) == contract.canonical_id(text)


def test_limits_are_the_same_in_contract_function_and_openapi_file(
    logic: ModuleType, ids: ModuleType
) -> None:
    schemas = API["components"]["schemas"]
    for name in ("UserId", "ItemId"):
        assert ids.MAX_ID_BYTES == schemas[name]["maxLength"] == contract.MAX_ID_BYTES
    assert logic.MAX_K == schemas["K"]["maximum"] == contract.MAX_K
    body = API["paths"]["/recommendations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert logic.MAX_USERS == body["properties"]["user_ids"]["maxItems"] == contract.MAX_INSTANCES
    for name in ("candidates", "exclude_items"):
        assert logic.MAX_ITEM_IDS == body["properties"][name]["maxItems"] == contract.MAX_ITEM_IDS
    recent = body["properties"]["recent_items"]["maxItems"]
    assert recent == schemas["Recommendation"]["properties"]["ignored_items"]["maximum"]
    assert recent == contract.MAX_RECENT_ITEMS
    assert logic.MAX_ITEMS == contract.MAX_ITEMS_PER_REQUEST
    assert (
        f"at most {contract.MAX_ITEMS_PER_REQUEST} items"
        in API["paths"]["/recommendations"]["post"]["summary"]
    )
