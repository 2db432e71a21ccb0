"""The report page: self-contained, safe for any names that users choose, and small for large sweeps."""

import hashlib
import html.parser
import itertools
import json

import numpy as np
import pandas as pd
import pytest

from lanes.errors import RequestError
from lanes.reporting import pages, sections
from lanes.reporting.columns import unpacked
from lanes.reporting.markup import Markup, as_json, escape, table, together
from lanes.results.leaderboard import ranking

EVIL = '<script>alert("x")</script>'
VOID = {"meta", "link", "input", "br", "img"}


class Page(html.parser.HTMLParser):
    """Parses a page into tags, text, tables and scripts; fails on unbalanced tags."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words, self.scripts, self.tables = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append((self.tags[-1][1], data))
        elif self.open and self.open[-1] != "style":
            self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def figures(self):
        json_type = [data for attributes, data in self.scripts if attributes.get("type") == "application/json"]
        return [found for data in json_type if "layout" in (found := json.loads(data))]

    @property
    def data(self):
        return unpacked(next(data for attributes, data in self.scripts if attributes.get("id") == "data"))

    @property
    def board(self):
        return self.data["boards"][0]

    @property
    def leaderboard(self):
        """Header and rows of the leaderboard, which is the only table that begins with ranks and has the last such header."""
        head, *rows = next(table for table in reversed(self.tables) if table[0][0] == "rank")
        return head, rows

    def headings(self):
        return [attributes["id"] for tag, attributes in self.tags if tag == "section"]


def sweep(activations=("tanh", "relu"), rates=(0.1, 0.01), seeds=3, shift=0.0, **fields):
    """Runs and curves in the form of `lanes.load` and `load_curves`."""
    runs, curves = [], []
    for index, (activation, rate, seed) in enumerate(itertools.product(activations, rates, range(seeds))):
        value = 0.8 + 0.01 * activations.index(activation) + rate / 10 + 0.001 * seed + shift
        row = {"run_id": f"{index:016x}", "status": "done", "data": "digits", "activation": activation}
        row |= {"learning_rate": rate, "seed": seed, **fields, "epochs_done": 4, "best_epoch": 3}
        row |= {"train_loss": 0.1, "penalty": 0.0, "train_accuracy": value + 0.05, "valid_loss": 1 - value}
        row |= {"valid_accuracy": value, "test_loss": 1.0, "test_accuracy": value - 0.01, "diverged_step": None}
        runs.append(row | {"seconds": 0.01, "width": 8, "mapping": "local", "device": "cpu:0"})
        for epoch in range(1, 5):
            point = {
                "batch_loss": 1 / epoch,
                "penalty": 0.0,
                "valid_loss": 1 / epoch,
                "valid_accuracy": value - 0.1 / epoch,
            }
            curves.append({"run_id": row["run_id"], "epoch": epoch, **point})
    return pd.DataFrame(runs), pd.DataFrame(curves)


def diverge(runs, rows):
    metrics = [name for name in runs if name.startswith(("train_", "valid_", "test_")) or name == "penalty"]
    runs.loc[rows, metrics] = None
    runs.loc[rows, "status"] = "diverged"
    runs.loc[rows, "diverged_step"] = 1234
    return runs


def rendered(runs, curves, provenance=None, metric=None):
    return Page(
        pages.page(ranking(runs, metric), curves, provenance or {"quick": {"command": "python scripts/sweep.py x.py"}})
    )


# ---- the whole page ------------------------------------------------------------------------------------------------


def test_page_has_all_sections_and_links_to_them():
    page = rendered(*sweep())
    expected = ["answer", "next", "importance", "axes", "pairs", "curves", "gap", "board", "outcomes", "provenance"]
    assert page.headings() == [f"section-{name}" for name in expected]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in page.headings()]


def test_page_loads_nothing_and_its_policy_forbids_loading():
    page = rendered(*sweep())
    for tag, attributes in page.tags:
        assert tag not in ("img", "iframe", "object", "embed")
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith(("#", "data:,"))
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_answer_states_combination_interval_and_test_result():
    text = rendered(*sweep()).text
    assert "activation relu · learning_rate 0.1" in text
    assert "0.8210 ± 0.0025" in text  # s = 0.001, t(2) s / √3
    assert "0.8110 ± 0.0025" in text  # the same runs on the test split
    assert "3 of the other 3 combinations cannot be told apart from the best" in text  # all differences are equal
    assert "selected by its validation accuracy, which is therefore optimistic: test accuracy is not" in text


def test_combinations_are_told_apart_with_a_correction_for_all_of_them():
    runs, curves = sweep()
    runs["valid_accuracy"] += 1e-4 * np.sin(np.arange(len(runs)))
    text = rendered(runs, curves).text
    assert "The best can be told apart from each of the other 3 combinations, at 5% for all pairs" in text


def test_single_seed_has_no_interval_and_says_so():
    page = rendered(*sweep(seeds=1))
    assert "±" not in " ".join(itertools.chain(*page.leaderboard[1]))
    assert "With one seed per combination there are no intervals" in page.text


def test_proportions_stay_inside_0_and_1():
    runs, curves = sweep(rates=(1.6, 0.01))
    page = rendered(runs, curves)
    assert "0.9710 ± 0.0025" in page.text
    runs["valid_accuracy"] = runs["valid_accuracy"] + 0.028
    text = rendered(runs, curves).text
    assert "(0.9965 to 1)" in text
    assert "1.0015" not in text


def test_equal_values_are_said_to_be_equal():
    runs, curves = sweep(seeds=2)
    runs["valid_accuracy"] = runs.groupby(["activation", "learning_rate"])["valid_accuracy"].transform("mean")
    page = rendered(runs, curves)
    assert "(2 equal)" in page.text
    assert "Equal values of all seeds have no interval" in page.text


def test_effects_are_those_of_matched_pairs():
    """Half of the better rate's runs with relu are missing: the medians say that relu is worse, the pairs that it is better."""
    runs, curves = sweep(rates=(2.0, 0.01, 0.02))
    runs["valid_accuracy"] += 1e-4 * np.sin(np.arange(len(runs)))
    runs = runs[~((runs["activation"] == "relu") & (runs["learning_rate"] == 2.0))]
    text = rendered(runs, curves).text
    assert "relu − tanh +0.009" in text or "relu − tanh +0.010" in text
    assert "Effects from matched pairs" in text


def test_interquartile_means_are_shown_on_request():
    runs, curves = sweep(seeds=8)
    assert "section-robust" not in rendered(runs, curves).headings()
    page = Page(pages.page(ranking(runs), curves, {"quick": {}}, statistic="iqm"))
    assert "section-robust" in page.headings()
    assert "0.8235 [0.82" in page.text  # of 0.820 … 0.827 the middle half


# ---- pruned ----------------------------------------------------------------------------------------------------------


def test_pruned_runs_stand_apart_and_at_an_equal_epoch():
    runs, curves = sweep()
    worse = runs["learning_rate"] == 0.01
    runs.loc[worse, ["status", "epochs_done"]] = ["pruned", 2]
    one = runs.index[(runs["activation"] == "relu") & ~worse][0]
    runs.loc[one, ["status", "epochs_done", "valid_accuracy"]] = ["pruned", 3, 0.1]
    ended = curves.merge(runs[["run_id", "epochs_done"]], on="run_id")
    page = rendered(runs, ended[ended["epoch"] <= ended["epochs_done"]].drop(columns="epochs_done"))
    head, rows = page.leaderboard
    assert head[-4:] == ["n", "diverged", "pruned", "pruned runs"]
    assert [row[head.index("n")] for row in rows] == ["2", "3", "0", "0"]
    assert rows[0][-1] == "0.1000 at epoch 3 (n = 1)"
    assert rows[0][head.index("valid_accuracy")].startswith("0.8215")  # of the two that finished
    assert rows[2][head.index("valid_accuracy")] == "–"
    assert rows[2][-1] == "0.8120 at epoch 2 (n = 3)"
    assert "1 runs of the best were pruned" in page.text
    assert "At epoch 2, which all runs reached" in page.text
    assert "valid_accuracy by epoch 2" in page.text


# ---- diverged, pending, missing ------------------------------------------------------------------------------------


def test_diverged_runs_are_listed_with_their_step():
    runs, curves = sweep()
    page = rendered(diverge(runs, [0, 1, 2]), curves)
    assert "3 diverged" in page.text
    assert "1,234" in page.text
    assert [row[-1] for row in page.leaderboard[1]] == ["", "", "", "3"]
    assert page.leaderboard[1][-1][3:6] == ["–", "–", "–"]


def test_pending_runs_are_counted():
    runs, curves = sweep()
    runs.loc[[0, 1], runs.columns[runs.columns.get_loc("epochs_done") :]] = None
    runs.loc[[0, 1], "status"] = None
    assert "2 of 12 runs are still pending" in rendered(runs, curves).text


def test_page_without_any_value():
    runs, curves = sweep()
    page = rendered(diverge(runs, runs.index), curves.iloc[:0])
    assert "No finished run has a value of" in page.text
    assert "section-outcomes" in page.headings()


def test_page_of_one_combination_without_curves_or_test_split():
    runs, curves = sweep(activations=("tanh",), rates=(0.1,))
    page = rendered(runs.drop(columns=["test_accuracy", "test_loss"]), curves.iloc[:0])
    assert "section-pairs" not in page.headings()
    assert "0.8110" in page.text


def test_ranking_on_test_is_called_optimistic():
    assert "the best test result is therefore optimistic" in rendered(*sweep(), metric="test_accuracy").text
    assert "the best test result is therefore optimistic" not in rendered(*sweep()).text


# ---- escaping ------------------------------------------------------------------------------------------------------


def test_names_chosen_by_users_are_escaped():
    runs, curves = sweep(activations=(EVIL, "relu"), rates=(0.1, 0.01), data=f"a{EVIL}")
    page = rendered(diverge(runs, [0]), curves, {EVIL: {"command": [EVIL], EVIL: {EVIL: EVIL}}})
    assert not any("alert" in data for attributes, data in page.scripts if "type" not in attributes)
    assert sum(tag == "script" for tag, _ in page.tags) == len(page.figures) + 2  # figures, data, script
    assert EVIL in page.text
    assert EVIL in page.leaderboard[1][-1]
    assert EVIL in page.board["axes"][0]["values"]  # data, which the script inserts as text


def test_markup_escapes_everything_but_markup():
    assert escape("<b>") == "&lt;b&gt;"
    assert together(Markup("<b>"), "<i>") == "<b>&lt;i&gt;"
    assert Markup("<b>") + "<i>" == "<b>&lt;i&gt;"
    assert "<i>" not in table(["<i>"], [["<i>"]])


def test_json_is_safe_inside_a_script():
    value = {"a": ["</script>", float("nan"), np.float32(0.5), np.int64(3), float("inf"), None, True]}
    text = as_json(value)
    assert "<" not in text
    assert json.loads(text) == {"a": ["</script>", None, 0.5, 3, None, None, True]}


# ---- large, several, files -----------------------------------------------------------------------------------------


def test_large_sweep_makes_a_page_of_bounded_size():
    runs, curves = sweep(activations=("tanh", "relu"), rates=tuple(np.geomspace(1e-5, 1, 1000)), seeds=1)
    text = pages.page(ranking(runs), curves, {"large": {}})
    page = Page(text)
    assert page.board["combination"].size == 2000
    assert len(page.leaderboard[1]) == sections.BOARD
    assert sum(tag == "tr" for tag, _ in page.tags) < 200
    assert len(text) < 400_000


def test_several_directories_are_compared():
    (first, curves), (second, _) = sweep(), sweep(shift=0.02, dropout=0.5)
    first["dropout"] = 0.0
    names = ("plain", "dropped")
    runs = pd.concat([t.assign(dir=n) for t, n in zip((first, second), names, strict=True)], ignore_index=True)
    page = rendered(runs, pd.concat([curves.assign(dir=n) for n in names], ignore_index=True), {n: {} for n in names})
    assert "section-comparison" in page.headings()
    assert "dropped − plain" in page.text
    assert "dropout: 0 → 0.5" in page.text
    assert "all pairs of runs +0.02000 (3 equal)" in page.text
    assert page.leaderboard[0][1] == "dir"


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A directory and its table, with stubs for `load` and `load_curves`."""
    runs, curves = sweep()
    (tmp_path / "sweep.json").write_text(json.dumps({"command": "lanes sweep x.py", "mapping": "local", "sha256": "0"}))
    monkeypatch.setattr("lanes.results.tables.load", lambda _: runs)
    monkeypatch.setattr("lanes.results.tables.load_curves", lambda _: curves)
    return tmp_path, runs


def test_write_report_writes_beside_the_results(directory):
    path, _ = directory
    page = pages.write_report([path])
    assert page == path / "report.html"
    text = Page(page.read_text(encoding="utf-8")).text
    assert "lanes sweep x.py" in text
    assert "mapping local" in text
    assert "sha256" not in text
    assert sorted(found.name for found in path.iterdir()) == ["report.html", "sweep.json"]
    assert pages.write_report([path], out=path / "other.html") == path / "other.html"


def test_damaged_provenance_does_not_stop_the_report(directory):
    path, _ = directory
    (path / "sweep.json").write_text("{")
    assert "missing or damaged" in pages.write_report([path]).read_text(encoding="utf-8")


def test_wrong_requests_write_nothing(directory):
    path, runs = directory
    with pytest.raises(RequestError, match="did you mean 'valid_accuracy'"):
        pages.write_report([path], metric="valid_acuracy")
    with pytest.raises(RequestError, match="cannot write"):
        pages.write_report([path], out=path / "absent" / "page.html")
    with pytest.raises(RequestError, match="twice"):
        pages.write_report([path, path])
    with pytest.raises(RequestError, match="no directory"):
        pages.write_report([])
    runs["status"] = None
    with pytest.raises(RequestError, match="no results yet"):
        pages.write_report([path])
    assert [found.name for found in path.iterdir()] == ["sweep.json"]


# ---- question, baseline, importance, what next -----------------------------------------------------------------------


def written(tmp_path, source):
    """A directory's copy of an experiment, and runs that come from it."""
    (tmp_path / "experiment.py").write_bytes(source)
    runs, curves = sweep()
    digest = hashlib.sha256(source).hexdigest()
    return runs.assign(experiment="experiment.py", experiment_sha256=digest), curves


def page_of(tmp_path, runs, curves, **options):
    return Page(pages.page(ranking(runs), curves, {"quick": {}}, paths={"quick": tmp_path}, **options))


def test_the_experiments_docstring_is_on_top_and_escaped(tmp_path):
    source = rf'''r"""Which rate, {EVIL} & \d?

    lanes sweep x.py --out y
        --set epochs=1

Expected: two
lines.
"""
raise SystemExit("a page executes nothing")
'''
    page = page_of(tmp_path, *written(tmp_path, source.encode()))
    assert f"Which rate, {EVIL} & \\d?" in page.words
    assert "lanes sweep x.py --out y\n    --set epochs=1" in page.words
    assert "Expected: two lines." in page.words
    before = page.text.index("Which rate")
    assert before < page.text.index("Answer", page.text.index("Provenance"))


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"x = 1\n",
        b'"""unfinished',
        b"\xff\xfe\x00",
        b'b"""bytes"""\n',
        b'f"""formatted {1}"""\n',
        b"(" * 500,
        b"# coding: no-such\n'''x'''",
        b'"""\n\n   \n"""',
        b"\x00",
    ],
    ids=range(10),
)
def test_an_experiment_without_a_docstring_has_no_question(tmp_path, source):
    assert "question" not in str(page_of(tmp_path, *written(tmp_path, source)).tags)


def test_a_changed_copy_has_no_question(tmp_path):
    runs, curves = written(tmp_path, b'"""First."""')
    assert "First." in page_of(tmp_path, runs, curves).text
    (tmp_path / "experiment.py").write_bytes(b'"""Other."""')
    text = page_of(tmp_path, runs, curves).text
    assert "First." not in text
    assert "Other." not in text


def test_a_baseline_has_a_section():
    runs, curves = sweep()
    runs["valid_accuracy"] += 1e-4 * np.sin(np.arange(len(runs)))
    conditions = ("activation=relu", "learning_rate=0.1")
    page = Page(pages.page(ranking(runs), curves, {"quick": {}}, baseline=conditions))
    assert "section-baseline" in page.headings()
    assert "The baseline is relu · learning_rate 0.1" in page.text
    assert "Dunnett" in page.text
    assert page.text.count(" worse") == 3
    assert "section-baseline" not in rendered(runs, curves).headings()
    with pytest.raises(RequestError, match="matches 2 combinations"):
        pages.page(ranking(runs), curves, {"quick": {}}, baseline=("activation=relu",))


def test_one_change_at_a_time_is_compared_with_the_base():
    runs, curves = sweep(activations=("tanh", "relu", "elu"), rates=(0.1, 0.01, 0.5))
    runs = runs[(runs["activation"] == "tanh") | (runs["learning_rate"] == 0.1)]
    page = rendered(runs, curves)
    assert {"section-axes", "section-pairs", "section-importance"}.isdisjoint(page.headings())
    assert "The base has activation tanh, learning_rate 0.1" in page.text
    assert "learning_rate 0.5 all else as in the base" in page.text
    assert "activation elu" in page.text


def test_importance_and_edges_are_stated():
    runs, curves = sweep(rates=(0.001, 0.01, 0.1, 1.0))
    text = rendered(runs, curves).text
    assert "The best learning_rate, 1, is the highest of the 4 that were tried: see What next." in text
    assert 'grid(BASE, {"activation": ["relu"], "learning_rate": [0.1, 1, 10, 100]}, seed=range(3))' in text
    assert "by functional analysis of variance, which is exact" in text
    assert "activation × learning_rate" in text


def test_the_noise_floor_is_stated():
    runs, curves = sweep()
    runs["valid_accuracy"] += 1e-3 * np.sin(7 * np.arange(len(runs)))
    assert "Noise floor" in rendered(runs, curves).text
