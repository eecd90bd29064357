"""Metric math with missing data points, by the rules and examples of the CloudWatch user guide.

Source of every rule: "Using math expressions with CloudWatch metrics", sections "Basic arithmetic functions",
"Comparison and logical operators", "Functions supported for metric math" and "Using IF expressions".
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from emulator.services.cloudwatch.expressions import Expression, Value

Series = Sequence[Value]
_ = None  # a missing data point, as the guide writes it: -


def evaluated(text: str, **series: Series) -> list[Value]:
    """Data points of an expression over the data points of its metrics."""
    expression = Expression(text)
    (length,) = {len(each) for each in series.values()}
    return [expression.value({name: each[at] for name, each in series.items()}) for at in range(length)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The guide's table: metric1 is [30, 20, 0, 0], metric2 [20, -, 20, -].
        ("(metric1 < metric2)", [0, 0, 1, 0]),
        ("(metric1 >= 30)", [1, 0, 0, 0]),
        ("(metric1 > 15 AND metric2 > 15)", [1, 0, 0, 0]),
    ],
)
def test_comparison_takes_a_missing_value_as_0(text: str, expected: Series) -> None:
    assert evaluated(text, metric1=[30, 20, 0, 0], metric2=[20, _, 20, _]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # "Missing values in a time series are treated as 0."
        ("m1 + m2", [3, 1, 2, _]),
        ("m1 - m2", [-1, 1, -2, _]),
        ("m1 * m2", [2, 0, 0, _]),
        # "If the value of a data point causes a function to attempt to divide by zero, the data point is
        # dropped."
        ("m1 / m2", [0.5, _, 0, _]),
        # A time series and a number: a data point per data point of the time series.
        ("m1 * 2", [2, 2, _, _]),
        ("10 - m2", [8, _, 8, _]),
        ("-m1", [-1, -1, _, _]),
        ("ABS(m1)", [1, 1, _, _]),
        ("m1 > 0", [1, 1, _, _]),
        # AVG: "Missing values are treated as 0."
        ("AVG([m1, m2])", [1.5, 0.5, 1, _]),
        ("SUM([m1, m2])", [3, 1, 2, _]),
        ("MAX([m1, m2])", [2, _, _, _]),  # not documented
        ("FILL(m1, 7) + FILL(m2, 0)", [3, 1, 9, 7]),
        ("FILL(m1 / m2, 0)", [0.5, 0, 0, 0]),
    ],
)
def test_arithmetic_takes_a_missing_value_as_0_if_another_exists(text: str, expected: Series) -> None:
    assert evaluated(text, m1=[1, 1, _, _], m2=[2, _, 2, _]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The guide's tables, for the metrics below.
        ("IF(metric1, metric2, metric3)", [30, 0, 20, _, _]),
        ("IF(metric1, 5, metric3)", [5, 5, 20, _, _]),
        ("IF(metric1, metric2, 5)", [30, 0, 5, 5, _]),
        ("IF(metric1 >= 1, metric2, metric3)", [30, 0, 20, _, _]),
    ],
)
def test_if_with_missing_values(text: str, expected: Series) -> None:
    series = {"metric1": [1, 1, 0, 0, _], "metric2": [30, _, 0, 0, 30], "metric3": [0, 0, 20, _, 20]}
    assert evaluated(text, **series) == expected
