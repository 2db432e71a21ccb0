// Figures of the combinations: by the values of each axis, the generalization gap, how runs ended.

const SERIES = 7; // colours
const QUIET = "var(--quiet)";
const ENDED = {
  done: "var(--series-2)",
  stopped_early: "var(--series-5)",
  pruned: "var(--series-4)",
  diverged: "var(--series-1)",
  failed: "var(--series-3)",
  pending: "var(--edge)",
};

function seriesColor(at) {
  return `var(--series-${at % SERIES})`;
}

function seriesDash(at) {
  return [undefined, "6 3", "2 3"][Math.floor(at / SERIES) % 3];
}

function layoutOf(height, x, y, more = {}) {
  return { height, xaxis: { title: { text: x } }, yaxis: { title: { text: y } }, ...more };
}

function markers(board, rows, x, y, text, marker = {}) {
  return {
    type: "scatter",
    mode: "markers",
    x: rows.map(x),
    y: rows.map(y),
    text: rows.map((row) => () => text(row)),
    open: rows.map((row) => () => openRow(board, row)),
    marker: { size: 7, color: "var(--series-0)", ...marker },
  };
}

function errors(board, rows, metric) {
  const found = rows.map((row) => [row.metrics[metric].mean, ends(row.metrics[metric], board.proportions.includes(metric))]);
  return { array: found.map(([mean, [, high]]) => high - mean), arrayminus: found.map(([mean, [low]]) => mean - low) };
}

function categories(names, more = {}) {
  return { type: "category", categoryarray: names, ...more };
}

// ---- by axis ----

// For each value the best combination (filled, with its interval) and the median of all (open); of a sampled axis all of them.
function marginalFigure(board, axis) {
  const layout = layoutOf(240, board.axes[axis].name, words(board.metric));
  return board.axes[axis].sampled ? sliceFigure(board, axis, layout) : valuesFigure(board, axis, layout);
}

function valuesFigure(board, axis, layout) {
  const found = marginal(board, board.rows, axis).filter(({ rows }) => rows.length);
  const kept = found.filter(({ best }) => best);
  const at = new Map(kept.map((one) => [one.best, one]));
  const best = kept.map((one) => one.best);
  const hover = (row) => hoverText(board, row);
  const top = markers(board, best, (row) => at.get(row).value, (row) => row.value, hover, { size: 8 });
  top.error_y = errors(board, best, board.metric);
  const middle = markers(board, best, (row) => at.get(row).value, (row) => at.get(row).median, (row) => `median of all: ${general(at.get(row).median, 4)}`, {
    symbol: "circle-open",
    color: QUIET,
    size: 9,
  });
  Object.assign(layout.xaxis, categories(found.map(({ value }) => value)));
  if (board.lower && spans([...top.y, ...middle.y])) layout.yaxis.type = "log";
  return { data: [middle, top], layout };
}

function sliceFigure(board, axis, layout) {
  const { numbers } = board.axes[axis];
  const x = (row) => numbers[row.labels[axis]];
  const valued = board.rows.filter((row) => Number.isFinite(row.value));
  const without = board.rows.filter((row) => !Number.isFinite(row.value));
  const hover = (row) => hoverText(board, row);
  const data = [markers(board, valued, x, (row) => row.value, hover, { size: 6, opacity: valued.length > 1000 ? 0.35 : 0.6 })];
  if (board.lower && spans(data[0].y)) layout.yaxis.type = "log";
  if (without.length) {
    const edge = worstOf(valued.map((row) => row.value), board.lower, layout.yaxis.type === "log");
    data.push(markers(board, without, x, () => edge, hover, { symbol: "x", color: "var(--series-1)", size: 7 }));
    Object.assign(data[0], { name: "with a value" });
    Object.assign(data[1], { name: "without: diverged, failed, pruned or pending" });
    layout.showlegend = true;
  }
  if (spans(board.rows.map(x))) layout.xaxis.type = "log";
  return { data, layout };
}

// Where combinations without a value are marked: at the worse end of the others.
function worstOf(values, lower, log) {
  if (!values.length) return log ? 1 : 0;
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  if (log) return lower ? high * 1.3 : low / 1.3;
  const room = (high - low) * 0.08 || 0.01;
  return lower ? high + room : low - room;
}

function marginalTable(board, place) {
  const evaluations = board.shown.filter((metric) => metric === board.metric || metric === board.test);
  const head = ["axis", "value", ...evaluations.map((name) => `best ${name}`), "n", "with", "median", "median gap", "diverged"];
  const rows = board.axes.flatMap((_, axis) => marginalRows(board, axis, evaluations));
  const numeric = new Set(head.flatMap((name, at) => (["axis", "value", "with"].includes(name) ? [] : [at])));
  place.replaceChildren(tableOf(head, rows, numeric, "wide groups"));
}

const VALUES = 20; // values of an axis in the table

function marginalRows(board, axis, evaluations) {
  const digits = board.digits[board.metric];
  const plain = (value) => intervalText({ mean: value, half: NaN, n: 1 }, digits);
  const rank = ({ best }) => best?.rank ?? Infinity;
  const found = marginal(board, board.rows, axis).filter(({ rows }) => rows.length);
  const ordered = found.map((one, at) => [one, at]).sort(([a, i], [b, j]) => (rank(a) === rank(b) ? i - j : rank(a) - rank(b)));
  const out = ordered.slice(0, VALUES).map(([{ value, best, median, gap, diverged, runs }], at) => {
    const named = (other) => `${board.axes[other].numbers ? `${board.axes[other].name} ` : ""}${labelOf(board, best, other)}`;
    const others = best ? board.axes.flatMap((_, other) => (other === axis ? [] : [named(other)])) : [];
    return [
      at ? "" : make("b", {}, board.axes[axis].name),
      value,
      ...evaluations.map((metric) => (best ? cellText(board, best, metric) : "–")),
      best ? best.metrics[board.metric].n : 0,
      others.join(" · ") || "–",
      plain(median),
      plain(gap),
      diverged ? `${diverged} of ${runs}` : "0",
    ];
  });
  if (found.length > VALUES) out.push(["", `and ${found.length - VALUES} more values`, ...Array(out[0].length - 2).fill("")]);
  return out;
}

// ---- the best combinations, a row each ----

function drawBest(board, place, most) {
  const valued = board.rows.filter((row) => Number.isFinite(row.value));
  const plot = make("div", { class: "plot" });
  const cut = valued.length > most ? [make("p", { class: "note" }, `Showing the best ${most} of ${counted(valued.length, "combination")}.`)] : [];
  place.replaceChildren(plot, ...cut);
  drawFigure(plot, bestFigure(board, valued.slice(0, most)), "The best combinations");
}

function bestFigure(board, rows) {
  const names = rows.map((row) => `${row.rank + 1}. ${nameOf(board, row)}`);
  const trace = markers(board, rows, (row) => row.value, (row) => names[row.rank], (row) => hoverText(board, row));
  trace.y = names;
  trace.error_x = errors(board, rows, board.metric);
  const layout = layoutOf(70 + 21 * rows.length, words(board.metric), "");
  Object.assign(layout.yaxis, categories(names, { autorange: "reversed" }));
  if (board.lower && spans(trace.x)) layout.xaxis.type = "log";
  return { data: [trace], layout };
}

// ---- the generalization gap ----

function byGap(board) {
  const range = board.axes.map((_, axis) => {
    const gaps = marginal(board, board.rows, axis).map(({ gap }) => gap).filter(Number.isFinite);
    return gaps.length ? Math.max(...gaps) - Math.min(...gaps) : 0;
  });
  return board.axes.map((_, axis) => axis).sort((a, b) => range[b] - range[a] || a - b);
}

function gapFigure(board) {
  const rows = board.rows.filter((row) => Number.isFinite(row.gap));
  const axis = byGap(board).find((one) => board.axes[one].coarse.length <= SERIES);
  const hover = (row) => `gap ${general(row.gap, 4)}\n${hoverText(board, row)}`;
  const values = axis === undefined ? [""] : board.axes[axis].coarse;
  const data = values.flatMap((value, at) => {
    const part = axis === undefined ? rows : rows.filter((row) => coarseOf(board, row, axis) === at);
    if (!part.length) return [];
    const trace = markers(board, part, (row) => row.metrics[board.train].mean, (row) => row.gap, hover, { opacity: 0.7, color: seriesColor(at) });
    return [{ ...trace, name: axis === undefined ? "" : `${board.axes[axis].name} ${value}` }];
  });
  const layout = layoutOf(340, words(board.train), "gap", { shapes: [zeroLine("y")], showlegend: axis !== undefined });
  if (board.lower && spans(rows.map((row) => row.metrics[board.train].mean))) layout.xaxis.type = "log";
  return { data, layout };
}

function gapByFigure(board, position) {
  const axis = byGap(board)[position];
  const rows = board.rows.filter((row) => Number.isFinite(row.gap));
  const coarse = board.axes[axis].coarse;
  const hover = (row) => `gap ${general(row.gap, 4)}\n${hoverText(board, row)}`;
  const all = markers(board, rows, (row) => coarse[coarseOf(board, row, axis)], (row) => row.gap, hover, { size: 5, opacity: 0.4 });
  const found = marginal(board, board.rows, axis).filter(({ gap }) => Number.isFinite(gap));
  const middle = {
    type: "scatter",
    mode: board.axes[axis].numbers ? "lines+markers" : "markers",
    x: found.map(({ value }) => value),
    y: found.map(({ gap }) => gap),
    text: found.map(({ gap }) => `median gap ${general(gap, 4)}`),
    marker: { size: 9, color: "var(--series-1)" },
    line: { color: "var(--series-1)", width: 1.5 },
  };
  const layout = layoutOf(240, board.axes[axis].name, "gap", { shapes: [zeroLine("y")] });
  Object.assign(layout.xaxis, categories(coarse.filter((name) => all.x.includes(name))));
  return { data: [all, middle], layout };
}

function zeroLine(axis) {
  const other = axis === "y" ? "x" : "y";
  return { [`${axis}0`]: 0, [`${axis}1`]: 0, [`${other}ref`]: "paper", [`${other}0`]: 0, [`${other}1`]: 1 };
}

// ---- how runs ended ----

function outcomesFigure(board) {
  const runs = board.rows.flatMap((row) => row.runs);
  const data = board.statuses.flatMap((name) => {
    const n = runs.filter((run) => board.statusName(run) === name).length;
    const text = `${name.replaceAll("_", " ")}: ${counted(n, "run")}`;
    const bar = { type: "bar", orientation: "h", x: [n], y: [""], text: [text], marker: { color: ENDED[name] ?? QUIET } };
    return n ? [{ ...bar, name: `${name.replaceAll("_", " ")} ${n.toLocaleString("en")}` }] : [];
  });
  const layout = layoutOf(74, "", "", { showlegend: true });
  Object.assign(layout.yaxis, categories([""], { visible: false }));
  layout.xaxis.range = [0, Math.max(runs.length, 1)];
  return { data, layout };
}
