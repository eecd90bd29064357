"""The OpenAPI file, and the limits of user ids in the file, the function and the preparation."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from ml import contract
from tests.lambdas.recommend.api import API, validator

USER_ID = {"$ref": "urn:api#/components/schemas/UserId"}


def test_openapi_file_is_valid() -> None:
    validate(API)
    with pytest.raises(OpenAPIValidationError):
        validate({key: value for key, value in API.items() if key != "paths"} | {"paths": []})


def is_accepted(logic: ModuleType, text: str) -> bool:
    """Whether the function takes the text, unchanged, as a user id."""
    try:
        return logic.user_id("user_id", text) == text
    except logic.ApiError:
        return False


@given(st.text())
def test_function_accepts_the_user_ids_of_the_openapi_file(logic: ModuleType, text: str) -> None:
    assert is_accepted(logic, text) == validator(USER_ID).is_valid(text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=contract.MAX_ID_BYTES))
def test_every_prepared_id_without_control_characters_can_be_requested(logic: ModuleType, text: str) -> None:
    while len(text.encode()) > contract.MAX_ID_BYTES:
        text = text[: len(text) // 2]
    assert is_accepted(logic, text)
    assert validator(USER_ID).is_valid(text)


def test_longest_id_is_the_same_for_preparation_function_and_openapi_file(logic: ModuleType) -> None:
    schema = API["components"]["schemas"]["UserId"]
    assert schema["maxLength"] == logic.MAX_ID_CHARACTERS == contract.MAX_ID_BYTES
    assert is_accepted(logic, "u" * contract.MAX_ID_BYTES)
    assert not is_accepted(logic, "u" * (contract.MAX_ID_BYTES + 1))
