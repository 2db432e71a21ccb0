"""What follows the seed belongs to the replicate; what only happens to differ with the seed does not."""

import pandas as pd
import pytest

from lanes.results.axes import swept_axes
from lanes.results.leaderboard import leaderboard


def table(rows, name="init_from"):
    """Rows (combination, seed, value, learning rate) as `lanes.load` returns them."""
    cells = [
        {"run_id": f"{at:04x}", "status": "done", "seed": seed, name: value, "learning_rate": rate}
        | {"combination_id": combination, "valid_accuracy": 0.5 + at / 100}
        for at, (combination, seed, value, rate) in enumerate(rows)
    ]
    return pd.DataFrame(cells)


def counts(runs):
    """Labels of each combination, and its number of runs."""
    axes, labels = swept_axes(runs)
    names = [axis.name for axis in axes]
    return {} if not axes else labels.groupby(names, sort=False).size().to_dict()


def test_each_seeds_own_pretrained_run_is_one_combination():
    own = [("a", seed, f"runs/first:{seed}f0{seed}:encoder", 0.1) for seed in range(5)]
    none = [("b", seed, None, 0.1) for seed in range(5)]
    assert counts(table(own + none)) == {"runs/first:*:encoder": 5, "–": 5}
    assert len(leaderboard(table(own)).table) == 1


def test_two_kinds_of_sources_are_two_combinations_though_each_follows_the_seed():
    rows = [(kind, seed, f"runs/{kind}:{seed}f0{seed}", 0.1) for kind in "ab" for seed in range(3)]
    assert counts(table(rows)) == {"runs/a:*": 3, "runs/b:*": 3}
    alike = [(kind, seed, f"runs/x:{kind}{seed}", 0.1) for kind in "ab" for seed in range(3)]
    assert sorted(counts(table(alike)).values()) == [3, 3]
    mixed = [(kind, seed, f"runs/x:{at}{kind}{at}", 0.1) for at, kind in enumerate("abab") for seed in (at,)]
    assert sorted(counts(table(mixed)).values()) == [2, 2]


def test_sources_crossed_with_seeds_are_an_axis():
    rows = [("a", seed, f"runs/first:{source}0", 0.1) for source in range(3) for seed in range(3)]
    assert counts(table(rows)) == {f"runs/first:{source}0": 3 for source in range(3)}


def test_two_seeds_to_a_source_are_an_axis():
    rows = [("a", seed, f"runs/first:{seed // 2}0", 0.1) for seed in range(4)]
    assert counts(table(rows)) == {"runs/first:00": 2, "runs/first:10": 2}


def test_a_rate_of_its_own_for_each_seed_is_an_axis():
    rows = [(f"{seed}", seed, None, 0.1 * (seed + 1)) for seed in range(3)]
    assert counts(table(rows)) == {"0.1": 1, "0.2": 1, "0.3": 1}


def test_sources_without_a_common_combination_are_an_axis():
    rows = [(kind, seed, f"runs/{kind}:aaaa", 0.1) for seed, kind in enumerate("abc")]
    assert len(counts(table(rows))) == 3


def test_the_seeds_of_data_follow_the_seed_or_are_an_axis():
    rows = [("a", seed, seed, 0.1) for seed in range(4)]
    assert counts(table(rows, "data.seed")) == {}
    crossed = [("a", seed, draw, 0.1) for seed in range(2) for draw in range(2)]
    assert counts(table(crossed, "data.seed")) == {"0": 2, "1": 2}


@pytest.mark.parametrize("lacking", ["combination_id", "seed"])
def test_a_table_without_these_columns_is_taken_by_its_values(lacking):
    rows = [("a", seed, f"runs/first:{seed}0", 0.1) for seed in range(3)]
    assert len(counts(table(rows).drop(columns=lacking))) == 3


def test_runs_of_equal_labels_and_unlike_combinations_are_never_pooled():
    runs = table([("a", 0, None, 0.1), ("a", 1, None, 0.1), ("b", 0, None, 0.1), ("b", 1, None, 0.1)])
    axes, labels = swept_axes(runs)
    assert [(axis.name, axis.values) for axis in axes] == [("combination_id", ("a", "b"))]
    assert labels["combination_id"].tolist() == ["a", "a", "b", "b"]


def test_values_of_two_types_have_two_labels():
    for values in ([True, 1], [True, "True"], [1, "1"], [None, "None"], [None, "–"], [0.1, 0.1 + 1e-12]):
        runs = table([(str(at), 0, None, value) for at, value in enumerate(values)])
        runs["learning_rate"] = pd.Series(values, dtype=object)
        assert len(counts(runs.drop(columns="combination_id"))) == 2, values
