"""One rule for ids: preparation, contract, inference container, Lambda function and OpenAPI file agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from ml import contract
from ml.preparation.clean.validation import validate_events
from ml.serving import inference
from ml.settings.preparation import WeightSettings
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


def is_accepted(logic: ModuleType, text: str) -> bool:
    """Whether the Lambda function takes the text, unchanged, as a user id."""
    try:
        return logic.user_id("user_id", text) == text
    except logic.ApiError:
        return False


def is_served(text: str) -> bool:
    """Whether the inference container takes the text as a user id."""
    try:
        (instance,) = inference.input_fn(json.dumps({"instances": [{"user_id": text}]}), "application/json")
    except inference.RequestError as error:
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
    validated = validate_events(spark.createDataFrame(rows, schema), WeightSettings()).collect()
    found = {text: row["reason"] or row[f"{column}_id"] for text, row in zip(texts, validated, strict=True)}
    reasons = {text: reason.replace("user", column) for text, reason in UNUSABLE.items()}
    assert found == {**IDS, **reasons}


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


def test_limits_are_the_same_in_contract_function_and_openapi_file(logic: ModuleType) -> None:
    schemas = API["components"]["schemas"]
    assert logic.MAX_ID_BYTES == schemas["UserId"]["maxLength"] == contract.MAX_ID_BYTES
    assert logic.MAX_K == schemas["K"]["maximum"] == contract.MAX_K
    body = API["paths"]["/recommendations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert logic.MAX_USERS == body["properties"]["user_ids"]["maxItems"] == contract.MAX_INSTANCES
    assert logic.MAX_ITEMS == contract.MAX_ITEMS_PER_REQUEST
    assert (
        f"at most {contract.MAX_ITEMS_PER_REQUEST} items"
        in API["paths"]["/recommendations"]["post"]["summary"]
    )
