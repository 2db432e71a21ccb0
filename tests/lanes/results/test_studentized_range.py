"""The studentized range against SciPy's, which takes ten times as long."""

import pytest
from scipy import stats

from lanes.results import studentized_range
from lanes.results.studentized_range import cumulative, quantile


@pytest.mark.parametrize(
    ("groups", "degrees"), [(2, 1), (3, 2), (3, 1000), (8, 2), (8, 21), (48, 144), (200, 5), (1000, 1)]
)
def test_quantiles_are_those_of_scipy(groups, degrees):
    q = quantile(0.95, groups, degrees)
    expected = stats.studentized_range.sf(q, groups, degrees)
    assert expected == pytest.approx(0.05, rel=1e-4 if groups == 1000 else 1e-6)


def test_the_distribution_starts_at_zero_and_ends_at_one():
    assert cumulative(0.0, 5, 10) == pytest.approx(0.0, abs=1e-12)
    assert cumulative(1e3, 5, 10) == pytest.approx(1.0)


def test_of_two_means_it_is_student_s_t():
    assert quantile(0.95, 2, 7) == pytest.approx(2**0.5 * stats.t.ppf(0.975, 7), rel=1e-9)


def test_a_quantile_takes_few_integrals(monkeypatch):
    asked = []
    monkeypatch.setattr(studentized_range, "cumulative", lambda *args: asked.append(args) or cumulative(*args))
    quantile(0.95, 48, 141)
    assert len(asked) <= 20
