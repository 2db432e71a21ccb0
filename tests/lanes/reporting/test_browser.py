"""The report page in a headless Chromium: what a reader sees, clicks and saves."""

import csv
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import ABSENT, PROGRAM, Browser

from lanes.reporting import pages, sections
from lanes.results.effects import effects
from lanes.results.intervals import decimals, format_number
from lanes.results.leaderboard import leaderboard, marginals, ranking

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=ABSENT)

EVIL = '<script>document.title="harmed"</script>'
STATUSES = ("done", "done", "stopped_early", "done", "diverged", "pruned", "failed", "pending")


def sweep(activations=("tanh", "relu", EVIL), rates=(0.1, 0.01, 0.001), dropouts=(0.0, 0.5), seeds=4, epochs=6):
    """Runs and curves in the form of `lanes.load` and `load_curves`; some diverged, were pruned, failed or have not ended."""
    draw = np.random.default_rng(0)
    runs, curves = [], []
    for index, (activation, rate, dropout, seed) in enumerate(
        itertools.product(activations, rates, dropouts, range(seeds))
    ):
        bad = activation == activations[-1] and rate == rates[0]
        status = ("diverged" if dropout else "pruned") if bad else str(draw.choice(STATUSES, p=[0.7, *[0.3 / 7] * 7]))
        ended = None if status == "pending" else 3 if status == "pruned" else epochs
        accuracy = np.float32(round(180 * draw.uniform(0.7, 1.0)) / 180)
        loss = np.float32(draw.lognormal(-1, 1))
        values = {"train_accuracy": accuracy, "valid_loss": loss, "valid_accuracy": accuracy * np.float32(0.9)}
        values |= {"test_accuracy": accuracy * np.float32(0.85), "train_loss": loss / 2, "test_loss": loss * 2}
        if status in ("diverged", "failed", "pending"):
            values = dict.fromkeys(values)
        row = {"run_id": f"{index:016x}", "status": None if status == "pending" else status, "data": "digits"}
        row |= {"activation": activation, "learning_rate": rate, "dropout": dropout, "seed": seed, "epochs_done": ended}
        row |= {"best_epoch": ended, "diverged_step": 123 if status == "diverged" else None, "seconds": 0.5, **values}
        runs.append(row)
        for epoch in range(1, (ended or 0) + 1):
            point = {
                "valid_accuracy": draw.uniform(0.5, 1),
                "batch_loss": draw.lognormal(),
                "valid_loss": draw.lognormal(),
            }
            curves.append({"run_id": row["run_id"], "epoch": epoch, **point})
    return pd.DataFrame(runs), pd.DataFrame(curves)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page of the sweep above, and its runs."""
    runs, curves = sweep()
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(
        pages.page(ranking(runs), curves, {"quick": {"command": EVIL}}, paths={"quick": Path("runs/it's")}),
        encoding="utf-8",
    )
    return path, runs


@pytest.fixture
def page(browser, written):
    """The page, just opened; afterwards nothing was asked for but the page, and the console is empty."""
    path, _ = written
    browser.open(path)
    yield browser
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith(("about:", "blob:"))] in (
        [path.as_uri()],
        [path.as_uri(), "data:,"],
    )


def rows(browser):
    """The leaderboard's rows as the browser shows them."""
    cells = ".map(row => [...row.cells].map(cell => cell.textContent))"
    return browser.evaluate(f"[...document.querySelectorAll('.leaderboard tr.combination')]{cells}")


def filtered(browser, text):
    """Write a filter and wait for the page to follow."""
    browser.evaluate(
        f"(i => {{ i.value = {json.dumps(text)}; i.form.requestSubmit(); }})(document.querySelector('form.filter input'))"
    )
    browser.settle()


def saved(browser, name):
    """The rows of a CSV that a button saves."""
    text = browser.evaluate(
        f"""new Promise(resolve => {{
          const old = URL.createObjectURL;
          URL.createObjectURL = blob => (blob.text().then(resolve), URL.createObjectURL = old, old.call(URL, blob));
          [...document.querySelectorAll('.leaderboard button')].find(b => b.textContent === {json.dumps(name)}).click();
        }})"""
    )
    return list(csv.DictReader(io.StringIO(text)))


def assert_equals_python(browser, runs):
    """The leaderboard on the page is that of Python of these runs, texts and numbers."""
    board = leaderboard(runs)
    expected = [sections.row_of(board, row) for row in range(len(board.table))]
    shown = rows(browser)
    assert [row[:9] for row in shown] == [row[:9] for row in expected]
    for row, found in enumerate(saved(browser, "Save combinations as CSV")):
        at = board.table.iloc[row]
        for name in (
            "valid_accuracy",
            "valid_accuracy half",
            "valid_accuracy n",
            "test_accuracy",
            "valid_loss half",
            "gap",
        ):
            number = float(found[name]) if found[name] else np.nan
            np.testing.assert_allclose(number, at[name], rtol=1e-12, atol=1e-15, err_msg=name)
        assert [int(found[name]) for name in ("done", "diverged", "pruned", "failed")] == [
            at[name] for name in ("done", "diverged", "pruned", "failed")
        ]


# ---- numbers ---------------------------------------------------------------------------------------------------------


def test_the_leaderboard_is_pythons(page, written):
    assert_equals_python(page, written[1])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("seed<3", lambda runs: runs["seed"] < 3),
        (
            "activation=tanh activation=relu learning_rate=1e-2",
            lambda runs: (runs["activation"] != EVIL) & (runs["learning_rate"] == 0.01),
        ),
        ("learning_rate=0.1,0.001 dropout!=0.5", lambda runs: (runs["learning_rate"] != 0.01) & (runs["dropout"] == 0)),
    ],
)
def test_a_filtered_page_is_that_of_the_runs_it_keeps(page, written, text, kept):
    runs = written[1][kept(written[1])]
    filtered(page, text)
    said = page.evaluate("document.querySelector('form.filter output').textContent")
    assert said.startswith(f"{len(runs)} of {len(written[1])} runs")
    board = leaderboard(runs)
    expected = [{name: board.interval(row, name) for name in board.shown} for row in range(len(board.table))]
    for row, found in zip(saved(page, "Save combinations as CSV"), expected, strict=True):
        for name, interval in found.items():
            assert float(row[name] or "nan") == pytest.approx(interval.mean, rel=1e-12, nan_ok=True)
            assert float(row[f"{name} half"] or "nan") == pytest.approx(interval.half, rel=1e-12, nan_ok=True)
    assert len(rows(page)) == len(expected)
    best = page.evaluate("document.querySelector('.kept .facts').textContent")
    assert expected[0][board.metric].text(leaderboard(written[1]).digits[board.metric]) in best


def test_tables_of_axes_are_pythons(page, written):
    board = leaderboard(written[1])
    cells = (
        "[...document.querySelectorAll('.marginals tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    shown = page.evaluate(cells)
    for axis in board.axes:
        for _, at in marginals(board, axis).iterrows():
            found = next(row for row in shown if row[1] == at["value"])
            shown.remove(found)
            assert found[2] == (board.cell(at["best"], board.metric) if at["best"] >= 0 else "–")
            assert found[6] == format_number(at["median"], board.digits[board.metric])
            assert found[8] == (f"{at['diverged']} of {at['runs']}" if at["diverged"] else "0")
    assert shown == []


@pytest.mark.parametrize("text", ["", "seed>0 activation!=relu"])
def test_effects_are_pythons(page, written, text):
    runs = written[1]
    if text:
        runs = runs[(runs["seed"] > 0) & (runs["activation"] != "relu")]
        filtered(page, text)
    board = leaderboard(runs)
    cells = (
        "[...document.querySelectorAll('.effects tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    expected = []
    for axis in board.axes:
        found = effects(board.values, board.labels, board.runs["seed"], axis)
        digits = decimals([each.difference.half for each in found], [each.difference.mean for each in found])
        for each in found:
            shown = each.difference.text(digits)
            signed = f"+{shown}" if each.difference.mean > 0 else shown
            expected.append([f"{each.value} − {each.reference}", signed, str(each.difference.n), str(each.pairs)])
    assert [row[1:] for row in page.evaluate(cells)] == expected
    assert expected


def test_runs_are_saved_at_full_precision(page, written):
    found = {row["run_id"]: row for row in saved(page, "Save runs as CSV")}
    for _, run in written[1].iterrows():
        row = found[run["run_id"]]
        assert row["activation"] == run["activation"]
        for name in ("valid_accuracy", "train_loss", "learning_rate", "dropout"):
            assert (np.float32(row[name]) if row[name] else None) == (
                None if pd.isna(run[name]) else np.float32(run[name])
            )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("activatoin=tanh", "No field activatoin. Fields: activation, learning_rate, dropout, seed"),
        ("seed<three", "seed<three: three is not a number."),
        ("activation=sigmoid", "0 of 72 runs, 0 combinations"),
        ("status=diverged", " of 72 runs, "),
    ],
)
def test_a_filter_that_keeps_little_or_is_wrong_says_so(page, text, said):
    filtered(page, text)
    assert said in page.evaluate("document.querySelector('form.filter output').textContent")
    filtered(page, "")
    assert len(rows(page)) == 18


# ---- what a reader does ------------------------------------------------------------------------------------------------


def text_of(browser, selector):
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def test_headings_sort_by_mouse_and_keyboard(page):
    column = "th:nth-child(5) .sort"  # the ranking metric
    page.click(f".leaderboard {column}")
    values = [float(row[4].split()[0]) for row in rows(page) if row[4] != "–"]
    assert values == sorted(values)
    assert rows(page)[-1][4] == "–"
    assert page.evaluate("document.activeElement.textContent") == "valid_accuracy"
    page.press("Enter")
    assert [float(row[4].split()[0]) for row in rows(page) if row[4] != "–"] == values[::-1]
    assert rows(page)[-1][4] == "–"  # what has no value stays last
    assert page.evaluate("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"


def test_a_row_shows_its_runs_and_commands(page, written):
    page.click(".leaderboard tr.combination td:nth-child(3)")
    board = leaderboard(written[1])
    ids = list(board.runs.loc[board.runs["combination"] == 0, "run_id"])
    details = text_of(page, ".leaderboard tr.details")
    assert all(name in details for name in ids)
    commands = page.evaluate("[...document.querySelectorAll('.command code')].map(e => e.textContent)")
    assert commands == [
        f"lanes train --run 'runs/it'\\''s:{ids[0]}' --out 'runs/it'\\''s-{ids[0]}'",
        f"lanes evaluate 'runs/it'\\''s' --run {ids[0]}",
        f"lanes evaluate 'runs/it'\\''s' --run {' '.join(ids)}",
        f'net, variables = lanes.restore("runs/it\'s", "{ids[0]}")',
    ]
    page.click(".command button")
    page.wait("document.querySelector('.command button').textContent === 'Copied'")
    page.press("Tab")
    page.click(".leaderboard button.rank")
    assert page.evaluate("document.querySelector('.leaderboard tr.details').hidden")


def test_the_legend_hides_and_shows(page):
    lines = "document.querySelectorAll('.curves .two figure:first-child path.band').length"
    assert page.evaluate(lines) == 7
    page.click(".curves .legend button")
    assert page.evaluate(lines) == 6
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    page.press("Space")
    assert page.evaluate(lines) == 7


def test_curves_of_another_metric(page):
    change = "s.value = 'valid_loss'; s.dispatchEvent(new Event('change'))"
    page.evaluate(f"(s => {{ {change} }})(document.querySelector('.curves .two select'))")
    assert "validation loss" in page.evaluate("document.querySelector('.curves .two svg').getAttribute('aria-label')")


def test_the_heat_map_of_any_two_axes(page, written):
    def choose(field, value):
        change = f"s.value = '{value}'; s.dispatchEvent(new Event('change'))"
        page.evaluate(f"(s => {{ {change} }})(document.querySelector('.pairs [data-field={field}] select'))")

    choose("rows", 1)
    choose("columns", 0)
    cells = page.evaluate("[...document.querySelectorAll('.heat .number, .heat .reason')].map(e => e.textContent)")
    board = leaderboard(written[1])
    expected, digits = [], min(board.digits[board.metric], 3)
    for rate, activation in itertools.product(["0.001", "0.01", "0.1"], ["tanh", "relu", EVIL]):
        part = board.table[(board.table["learning_rate"] == rate) & (board.table["activation"] == activation)]
        best = part[board.metric].dropna()
        expected.append(f"{best.iloc[0]:.{digits}f}" if len(best) else "diverged")
    assert cells == expected
    assert cells[-1] == "diverged"
    choose("over", "median")
    assert page.evaluate("document.querySelectorAll('.heat .number').length") == 8


def test_a_value_of_the_parallel_coordinates_filters(page):
    page.evaluate("document.querySelector('.parallel .pick[aria-label=\"keep activation relu\"]').focus()")
    page.press("Enter")
    page.settle()
    assert page.evaluate("document.querySelector('form.filter input').value") == "activation=relu"
    assert {row[1] for row in rows(page)} == {"relu"}
    page.click("form.filter button")
    page.settle()
    assert len(rows(page)) == 18


def test_a_figure_is_read_with_the_keyboard(page):
    page.evaluate("document.querySelector('.marginal svg').focus()")
    page.press("ArrowRight")
    assert "rank" in text_of(page, ".tip") or "median of all" in text_of(page, ".tip")
    page.press("Escape")
    assert page.evaluate("document.querySelector('.tip').hidden")


def test_everything_is_reached_by_tab_with_a_visible_focus(page):
    controls = "main :is(a, button, input, select, summary, [tabindex='0'], svg[role=img])"
    reached = page.evaluate(
        f"""(() => {{
          const visible = e => e.getClientRects().length && !e.disabled;
          const all = [...document.querySelectorAll("{controls}")].filter(visible);
          return all.filter(e => {{
            e.focus();
            return document.activeElement !== e || e.tabIndex < 0;
          }}).map(e => e.outerHTML.slice(0, 120));
        }})()"""
    )
    assert reached == []
    page.evaluate("document.querySelector('.leaderboard .sort').focus()")
    page.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    unnamed = page.evaluate(
        """[...document.querySelectorAll('main :is(button, input, select, svg[role=img])')].filter(
             e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length"""
    )
    assert unnamed == 0


def test_names_are_text(page):
    assert page.evaluate("document.title") == "quick: report"
    assert EVIL in text_of(page, ".leaderboard")
    assert page.evaluate("document.querySelectorAll('script').length") == page.evaluate(
        "document.querySelectorAll('script[type=\"application/json\"]').length + 2"
    )


# ---- where it is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window(page, width):
    page.resize(width, 800)
    page.evaluate("new Promise(resolve => setTimeout(resolve, 50))")
    page.settle()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_pages_are_dark_and_printed_ones_are_not(page):
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.evaluate(background) == "rgb(21, 24, 29)"
    page.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.call("Emulation.setEmulatedMedia", media="", features=[])


# ---- large sweeps ------------------------------------------------------------------------------------------------------


def search(runs, seeds, epochs):
    """A random search over four axes in the form of `lanes.load` and `load_curves`."""
    draw = np.random.default_rng(0)
    combinations = runs // seeds
    ids = [f"{at:016x}" for at in draw.integers(0, 2**63, runs)]
    axes = {"learning_rate": 10 ** draw.uniform(-5, 0, combinations), "dropout": draw.uniform(0, 0.8, combinations)}
    axes |= {
        "activation": draw.choice(["tanh", "relu"], combinations),
        "batch_size": draw.choice([16, 32], combinations),
    }
    table = pd.DataFrame({"run_id": ids, "status": np.where(draw.random(runs) < 0.05, "diverged", "done")})
    table = table.assign(**{name: np.repeat(values, seeds) for name, values in axes.items()})
    table = table.assign(seed=np.tile(np.arange(seeds), combinations), epochs_done=epochs, best_epoch=epochs)
    for name in ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "test_loss", "test_accuracy"):
        table[name] = draw.random(runs, dtype=np.float32)
        table.loc[table["status"] == "diverged", name] = np.nan
    curves = pd.DataFrame({"run_id": np.repeat(ids, epochs), "epoch": np.tile(np.arange(1, epochs + 1), runs)})
    for name in ("batch_loss", "valid_loss", "valid_accuracy"):
        curves[name] = draw.random(runs * epochs, dtype=np.float32)
    return table, curves


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "seeds", "epochs", "most"), [(200, 4, 100, 2e6), (10_000, 4, 50, 5e6), (10_000, 1, 20, 5e6)]
)
def test_large_sweeps_make_small_pages_that_answer_soon(browser, tmp_path, runs, seeds, epochs, most):
    table, curves = search(runs, seeds, epochs)
    path = tmp_path / "report.html"
    path.write_text(pages.page(ranking(table), curves, {"large": {}}), encoding="utf-8")
    assert path.stat().st_size <= most
    usable = []
    for _ in range(3):  # the machine may be busy with something else
        browser.open(path)
        usable.append(browser.evaluate("performance.getEntriesByName('usable')[0].startTime"))
    assert min(usable) <= 2500  # milliseconds after navigation began
    assert f"Showing 50 of {runs // seeds:,} combinations" in text_of(browser, ".leaderboard .shown")
    assert page_points(browser) >= 0.9 * runs / seeds  # a figure of a sampled axis shows all combinations
    filtered(browser, "activation=relu seed=0")
    assert "runs" in text_of(browser, "form.filter output")
    assert browser.problems == []


def page_points(browser):
    """The points in the figure of the first sampled axis."""
    return browser.evaluate(
        "(document.querySelector('.marginal svg path[stroke-linecap=round]').getAttribute('d').match(/M/g)).length"
    )
