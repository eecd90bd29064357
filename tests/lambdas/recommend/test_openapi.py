"""The OpenAPI file; its rule for ids and its limits are compared in tests/ml/test_ids.py."""

from __future__ import annotations

import pytest
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from tests.lambdas.recommend.api import API


def test_openapi_file_is_valid() -> None:
    validate(API)
    with pytest.raises(OpenAPIValidationError):
        validate({key: value for key, value in API.items() if key != "paths"} | {"paths": []})
