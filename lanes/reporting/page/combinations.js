// Combinations of the swept axes in rank order: as lanes/results/leaderboard.py makes them, over the runs that are kept.

const FINISHED = new Set(["done", "stopped_early"]); // what means are over
const LOST = ["diverged", "failed", "pruned"];

// The rows of a board over the runs that a filter keeps (null: all), best first.
function combinations(board, kept) {
  const rows = [];
  board.members.forEach((all, combination) => {
    const runs = kept ? all.filter((run) => kept[run]) : all;
    if (runs.length) rows.push(combinationOf(board, combination, runs));
  });
  rows.sort((a, b) => compareKeys(sortKeys(board, a), sortKeys(board, b)));
  rows.forEach((row, rank) => (row.rank = rank));
  return rows;
}

function combinationOf(board, combination, runs) {
  const counts = Object.fromEntries(board.statuses.map((name) => [name, 0]));
  for (const run of runs) counts[board.statusName(run)] += 1;
  const finished = runs.filter((run) => FINISHED.has(board.statusName(run)));
  const metrics = {};
  for (const [name, values] of Object.entries(board.metrics)) {
    metrics[name] = interval(Array.from(finished, (run) => values[run]), board.quantiles);
  }
  const lost = LOST.reduce((total, name) => total + counts[name], 0);
  const row = { combination, runs, finished, counts, metrics, bad: counts.diverged };
  row.unstable = lost * 2 >= Math.max(runs.length - counts.pending, 1);
  row.value = metrics[board.metric].mean;
  row.gap = gapOf(board, metrics);
  row.early = earlyOf(board, runs);
  row.labels = board.axes.map((axis) => axis.labels[runs[0]]);
  return row;
}

function gapOf(board, metrics) {
  if (!board.train || !/^(valid|test)_/.test(board.metric)) return NaN;
  const gap = metrics[board.train].mean - metrics[board.test ?? board.metric].mean;
  return board.lower ? -gap : gap;
}

// Of the runs that were pruned last: the metric's mean, their epoch and number.
function earlyOf(board, runs) {
  const pruned = runs.filter((run) => board.statusName(run) === "pruned");
  const epoch = Math.max(...pruned.map((run) => board.epochs[run]).filter(Number.isFinite), -Infinity);
  const values = pruned.filter((run) => board.epochs[run] === epoch).map((run) => board.metrics[board.metric][run]);
  const { mean, n } = interval(values, board.quantiles);
  return { mean, epoch: Number.isFinite(epoch) ? epoch : NaN, n };
}

function sortKeys(board, row) {
  if (row.keys) return row.keys;
  const missing = Number.isNaN(row.value);
  const by = board.lower ? row.value : -roundEven(row.value * 1e6) / 1e6; // accuracies tie except for rounding
  const early = board.lower ? row.early.mean : -row.early.mean;
  const tie = board.metrics.valid_loss ? row.metrics.valid_loss.mean : by;
  row.keys = [+missing, +(row.unstable && !missing), by, missing ? -row.early.epoch : NaN, missing ? early : NaN, tie];
  return row.keys;
}

function compareKeys(a, b) {
  for (let i = 0; i < a.length; i++) {
    const order = compareNumbers(a[i], b[i]);
    if (order) return order;
  }
  return 0;
}

// Ascending, what is no number last.
function compareNumbers(a, b) {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return a - b;
}

// ---- by the values of axes ----

// For each value of an axis (or bin of a sampled one): its rows, the best with a value, medians, diverged runs.
function marginal(board, rows, axis) {
  const groups = board.axes[axis].coarse.map(() => []);
  for (const row of rows) groups[coarseOf(board, row, axis)].push(row);
  return groups.map((part, at) => ({
    value: board.axes[axis].coarse[at],
    rows: part,
    best: part.find((row) => Number.isFinite(row.value)), // rows are in rank order
    runs: part.reduce((total, row) => total + row.runs.length, 0),
    diverged: part.reduce((total, row) => total + row.counts.diverged, 0),
    median: median(part.map((row) => row.value)),
    gap: median(part.map((row) => row.gap)),
  }));
}

function coarseOf(board, row, axis) {
  return board.axes[axis].bins[row.labels[axis]];
}

// The largest difference, over an axis, of the best over the other axes.
function effectOf(board, rows, axis) {
  const best = marginal(board, rows, axis).flatMap(({ best }) => (best ? [best.value] : []));
  return best.length ? Math.max(...best) - Math.min(...best) : 0;
}

// ---- names ----

function labelOf(board, row, axis) {
  return board.axes[axis].values[row.labels[axis]];
}

function nameOf(board, row) {
  return board.names[row.combination];
}

function cellText(board, row, metric) {
  return intervalText(row.metrics[metric], board.digits[metric], board.proportions.includes(metric));
}

function earlyText(board, row) {
  if (!row.early.n) return "";
  const mean = intervalText({ mean: row.early.mean, half: NaN, n: 1 }, board.digits[board.metric]);
  return `${mean} at epoch ${row.early.epoch} (n = ${row.early.n})`;
}

function hoverText(board, row) {
  const lines = [`rank ${row.rank + 1}`];
  if (board.one_change) lines.push(nameOf(board, row));
  else board.axes.forEach((axis, at) => lines.push(`${axis.name} = ${labelOf(board, row, at)}`));
  for (const metric of board.shown) lines.push(`${words(metric)} ${cellText(board, row, metric)}`);
  const lost = LOST.filter((name) => row.counts[name]).map((name) => `, ${name} ${row.counts[name]}`);
  lines.push(`n = ${row.metrics[board.metric].n}${lost.join("")}${row.early.n ? `: ${earlyText(board, row)}` : ""}`);
  return lines.join("\n");
}
