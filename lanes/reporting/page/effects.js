// Main effects of the axes from matched pairs: as lanes/results/effects.py computes them, of the runs that the filter keeps.

const AXES = 12; // axes in the table

// Of each value of an axis against the first: the mean difference of runs that agree in all else, with an interval over seeds.
function effectsOf(board, axis) {
  const byKey = new Map(); // of runs that agree in all other axes and the seed: the metric's values by the axis's value
  const found = new Set();
  for (const row of board.rows) {
    found.add(row.labels[axis]);
    for (const run of row.finished) {
      const value = board.metrics[board.metric][run];
      if (!Number.isFinite(value)) continue;
      const key = [...row.labels.map((label, at) => (at === axis ? "" : label)), board.seed[run]].join();
      if (!byKey.has(key)) byKey.set(key, { seed: board.seed[run], values: new Map() });
      const { values } = byKey.get(key);
      values.set(row.labels[axis], [...(values.get(row.labels[axis]) ?? []), value]);
    }
  }
  const [reference, ...others] = [...found].sort((a, b) => a - b);
  return others.flatMap((value) => effectOfValue(board, axis, byKey, reference, value) ?? []);
}

function effectOfValue(board, axis, byKey, reference, value) {
  const bySeed = new Map();
  let [size, pairs] = [0, 0];
  for (const { seed, values } of byKey.values()) {
    const [first, second] = [reference, value].map((at) => (values.has(at) ? sum(values.get(at)) / values.get(at).length : NaN));
    for (const one of [first, second]) if (Math.abs(one) > size) size = Math.abs(one);
    if (Number.isNaN(second - first)) continue;
    bySeed.set(seed, [...(bySeed.get(seed) ?? []), second - first]);
    pairs += 1;
  }
  if (!pairs) return null;
  const means = [...bySeed.values()].map((differences) => sum(differences) / differences.length);
  const { values: names } = board.axes[axis];
  return { value: names[value], reference: names[reference], difference: interval(means, board.quantiles, size), pairs };
}

function effectsTable(board, place) {
  const shown = board.axes.slice(0, AXES);
  const rows = shown.flatMap(({ name, sampled }, axis) => {
    const found = sampled ? [] : effectsOf(board, axis);
    const digits = decimals(found.map(({ difference }) => difference.half), found.map(({ difference }) => difference.mean));
    const lines = found.slice(0, VALUES).map(({ value, reference, difference, pairs }, at) => {
      const text = intervalText(difference, digits);
      const signed = difference.mean > 0 ? `+${text}` : text;
      return [at ? "" : make("b", {}, name), `${value} − ${reference}`, signed, String(difference.n), pairs.toLocaleString("en")];
    });
    if (found.length > VALUES) lines.push(["", `and ${found.length - VALUES} more values`, "", "", ""]);
    return lines;
  });
  const head = ["axis", "difference", words(board.metric), "n (seeds)", "pairs of runs"];
  const cut = shown.length < board.axes.length ? [make("p", { class: "note" }, `Showing ${AXES} of ${board.axes.length} axes.`)] : [];
  const none = rows.length ? [] : [make("p", { class: "quiet" }, "The filter keeps no matched pair.")];
  place.replaceChildren(tableOf(head, rows, new Set([2, 3, 4]), "groups"), ...cut, ...none);
}
