from __future__ import annotations

import math

import pytest

from mailblast.monitor.grade import UNGRADED, Grade, grade


@pytest.mark.parametrize(
    ("throughput_per_s", "score"),
    [
        (0.0, 50),
        (9.999, 50),
        (10.0, 75),
        (49.999, 75),
        (50.0, 90),
        (99.999, 90),
        (100.0, 100),
        (5_000.0, 100),
    ],
)
def test_grade_throughput_below_a_threshold_costs_its_points(throughput_per_s: float, score: float) -> None:
    assert score == grade(error_rate=0, throughput_per_s=throughput_per_s, average_ms=0).score


@pytest.mark.parametrize(
    ("average_ms", "score"),
    [
        (0.0, 100),
        (1_000.0, 100),
        (1_000.001, 95),
        (2_000.0, 95),
        (2_000.001, 85),
        (5_000.0, 85),
        (5_000.001, 70),
        (600_000.0, 70),
    ],
)
def test_grade_average_time_above_a_threshold_costs_its_points(average_ms: float, score: float) -> None:
    assert score == grade(error_rate=0, throughput_per_s=100, average_ms=average_ms).score


@pytest.mark.parametrize(
    ("error_rate", "score", "letter"),
    [
        (0.0, 100, "A"),
        (0.07, 93, "A"),
        (0.10, 90, "A"),
        (0.1001, 89.99, "B"),
        (0.20, 80, "B"),
        (0.2001, 79.99, "C"),
        (0.30, 70, "C"),
        (0.3001, 69.99, "D"),
        (0.40, 60, "D"),
        (0.4001, 59.99, "F"),
        (1.0, 0, "F"),
    ],
)
def test_grade_letter_changes_at_each_boundary(error_rate: float, score: float, letter: str) -> None:
    result = grade(error_rate=error_rate, throughput_per_s=100, average_ms=0)
    assert (score, letter) == (result.score, result.letter)


@pytest.mark.parametrize(
    ("error_rate", "throughput_per_s", "average_ms", "score", "letter"),
    [
        (0.05, 100, 1_001, 90, "A"),
        (0.0, 50, 1_001, 85, "B"),
        (0.05, 10, 0, 70, "C"),
        (0.0, 10, 2_001, 60, "D"),
        (0.5, 9, 5_001, -30, "F"),
        (1.0, 0, 5_001, -80, "F"),
    ],
)
def test_grade_penalties_add_up(
    error_rate: float, throughput_per_s: float, average_ms: float, score: float, letter: str
) -> None:
    result = grade(error_rate=error_rate, throughput_per_s=throughput_per_s, average_ms=average_ms)
    assert (score, letter) == (result.score, result.letter)


@pytest.mark.parametrize(
    ("throughput_per_s", "score"),
    [
        (1.39, 50),
        (1.4, 75),
        (6.99, 75),
        (7.0, 90),
        (13.57, 90),
        (13.58, 100),
        (14.0, 100),
        (15.0, 100),
    ],
)
def test_grade_with_a_rate_limit_measures_shares_of_it(throughput_per_s: float, score: float) -> None:
    result = grade(error_rate=0, throughput_per_s=throughput_per_s, average_ms=0, rate_limit_per_s=14)
    assert score == result.score


@pytest.mark.parametrize("limit", [0.0, -1.0, math.inf, math.nan])
def test_grade_with_a_senseless_rate_limit_raises(limit: float) -> None:
    with pytest.raises(ValueError, match="not positive and finite"):
        grade(error_rate=0, throughput_per_s=1, average_ms=0, rate_limit_per_s=limit)


def test_grade_reasons_name_every_penalty() -> None:
    assert grade(error_rate=0.025, throughput_per_s=42, average_ms=5_100).reasons == (
        "2.5 % not accepted (-2.5)",
        "42.0/s is below 50/s (-25)",
        "average 5,100 ms is above 5,000 ms (-30)",
    )
    assert grade(error_rate=0, throughput_per_s=8, average_ms=0, rate_limit_per_s=14).reasons == (
        "8.0/s is below 97 % of the limit of 14/s (-10)",
    )
    assert grade(error_rate=0, throughput_per_s=100, average_ms=1_000).reasons == ()


@pytest.mark.parametrize(("letter", "alarming"), [("A", False), ("B", False), ("C", False), ("D", True), ("F", True)])
def test_grade_d_and_f_are_alarming(letter: str, alarming: bool) -> None:  # noqa: FBT001 - a table
    assert alarming is Grade(letter, 0, ()).alarming


def test_ungraded_is_not_alarming() -> None:
    assert not UNGRADED.alarming
