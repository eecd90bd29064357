"""Java's regular expressions in Python."""

from __future__ import annotations

import pytest

from emulator.operations import SERVICES, SHARED_SIGNING_NAMES, service_model
from emulator.validation.patterns import compile_pattern

ALL_SERVICES = sorted({*SERVICES.values(), *(service for _, _, service in SHARED_SIGNING_NAMES)})


@pytest.mark.parametrize("service", ALL_SERVICES)
def test_every_pattern_of_the_services_compiles(service: str) -> None:
    model = service_model(service)
    n_patterns = 0
    for name in model.shape_names:
        if pattern := model.shape_for(name).metadata.get("pattern"):
            compile_pattern(pattern)
            n_patterns += 1
    assert n_patterns or service in ("apigatewayv2", "sns", "sqs", "s3")


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        (r"[\w+=,.@-]+", "a-b", True),
        (r"[\w+=,.@-]+", "é", False),  # \w is ASCII in Java
        (r"\d+", "٣", False),
        (r"[\w-_]*", "a-_", True),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "가 é1", True),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a;b", False),
        (r"\A\S[\p{Print}]*\z", "a b", True),
        (r"\A\S[\p{Print}]*\z", " b", False),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "a\U0001f600\n", True),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "\x00", False),
        (r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "ncf\n", False),  # the whole value is matched
        (r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "ncf-dev", True),
    ],
)
def test_pattern_matches_as_in_java(pattern: str, value: str, matches: bool) -> None:
    assert bool(compile_pattern(pattern).fullmatch(value)) is matches
