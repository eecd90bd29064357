"""`Inputs` records the keys that a creator reads; `differences` lists parameters that a service dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.deploy.errors import MissingInputError
from local.deploy.inputs import Inputs
from local.deploy.readback import differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=8,
)


def test_unread_inputs_are_unused_at_every_depth() -> None:
    inputs = Inputs(
        {"a": 1, "b": 2, "rules": [{"id": "x", "days": 3}, {"id": "y", "only": {"z": 1, "w": 2}}]}
    )

    assert inputs["a"] == 1
    first, second = inputs.blocks("rules")
    assert (first["id"], second["id"]) == ("x", "y")
    only = second.block("only")
    assert only is not None
    assert only["z"] == 1

    assert inputs.unused() == ["b", "rules[0].days", "rules[1].only.w"]


def test_input_that_is_none_is_ignored() -> None:
    inputs = Inputs({"a": None})

    assert inputs.unused() == []
    assert "a" not in inputs


def test_nested_value_read_as_scalar_is_refused() -> None:
    with pytest.raises(TypeError, match="rule is nested"):
        Inputs({"rule": {"id": 1}}).get("rule")


def test_missing_input_is_named() -> None:
    with pytest.raises(MissingInputError, match="the input bucket is missing"):
        _ = Inputs({})["bucket"]


def test_pick_renames_given_inputs() -> None:
    inputs = Inputs({"memorySize": 128})

    assert inputs.pick({"memorySize": "MemorySize", "timeout": "Timeout"}) == {"MemorySize": 128}


def test_dropped_parameter_has_the_name_of_the_input() -> None:
    sent = {"Timeout": 3, "LoggingConfig": {"LogGroup": "a", "LogFormat": "Text"}}

    assert differences(sent, {"Timeout": 4, "LoggingConfig": {"LogFormat": "Text"}}) == [
        "loggingConfig.logGroup",
        "timeout",
    ]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"A": [1, 2]}, {"A": [2, 1]}),
        ({"A": '{"x": [1], "y": 2}'}, {"A": '{"y":2,"x":[1]}'}),
        ({"A": '{"x": 1}'}, {"A": {"x": 1}}),
        ({"A": 30}, {"A": "30"}),
        ({"A": True}, {"A": "true"}),
        ({"Tags": []}, {}),
    ],
    ids=["order", "layout", "parsed", "number", "boolean", "empty"],
)
def test_equivalent_values_have_no_difference(sent: dict, read: dict) -> None:
    assert differences(sent, read) == []


@pytest.mark.parametrize(
    ("sent", "read", "path"),
    [
        ({"A": [1, 1]}, {"A": [1, 2]}, "a[]"),
        ({"A": [1]}, {"A": [1, 2]}, "a"),
        ({"A": '{"x": 1}'}, {"A": '{"x": 2}'}, "a"),
        ({"A": 1}, {"A": "1.5"}, "a"),
        ({"A": False}, {}, "a"),
    ],
    ids=["item", "extra item", "document", "number", "missing"],
)
def test_difference_is_found(sent: dict, read: dict, path: str) -> None:
    assert differences(sent, read) == [path]


@given(st.dictionaries(st.text(min_size=1), JSON, max_size=4))
def test_identical_values_have_no_difference(sent: dict) -> None:
    assert differences(sent, sent) == []
