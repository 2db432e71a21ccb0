// Learning curves of the best combinations and of single runs.

const TOP = 7; // combinations with a curve
const SINGLE = 60; // most lines of single runs
const ALONE = 15; // lines of at most so many epochs have a marker at each

function curvesOf(board, place) {
  const names = Object.keys(board.curves.values);
  if (!names.length) return () => place.replaceChildren(make("p", { class: "quiet" }, "No curves were recorded."));
  const hidden = new Set();
  const legend = make("div");
  const plots = names.slice(0, 2).map((metric) => ({ metric, place: make("div", { class: "plot" }) }));
  const single = { metric: names[0], place: make("div", { class: "plot" }) };
  const note = make("p", { class: "note" });
  const best = (one) => drawFigure(one.place, bandsFigure(board, one.metric), `Learning curves, ${words(one.metric)}`, hidden);
  const chooser = (one, draw) =>
    select("Metric", names.map((name) => [name, words(name)]), one.metric, (value) => {
      one.metric = value;
      draw();
    });
  const drawBest = () => {
    const { data } = bandsFigure(board, plots[0].metric);
    legend.replaceChildren(legendOf(data, hidden, drawBest, "Combinations"));
    plots.forEach(best);
  };
  const drawSingle = () => {
    const { figure, drawn, all } = singleFigure(board, single.metric);
    drawFigure(single.place, figure, `Learning curves of single runs, ${words(single.metric)}`);
    const which = drawn < all ? `${drawn} of ${all.toLocaleString("en")}, evenly spaced by rank` : `all ${all}`;
    note.textContent = `Single runs, ${which}; from blue for the best-ranked combination to sand for the last.`;
  };
  const boxes = plots.map((one) => make("figure", {}, make("div", { class: "tools" }, chooser(one, () => best(one))), one.place));
  const alone = make("figure", {}, make("div", { class: "tools" }, chooser(single, drawSingle)), single.place, note);
  place.replaceChildren(make("div", { class: "curves" }, legend, make("div", { class: "two" }, ...boxes), alone));
  return () => {
    drawBest();
    drawSingle();
  };
}

function curveLayout(board, metric, data) {
  const layout = layoutOf(300, "epoch", words(metric));
  layout.xaxis.integer = true;
  if (board.curves.higher[metric] === false && spans(data.flatMap(({ y, high, low }) => (y ?? [...high, ...low])))) layout.yaxis.type = "log";
  return layout;
}

// A run's epochs and values, without those at which the metric was not measured.
function curveOf(board, run, metric) {
  const epochs = [];
  const found = [];
  for (let at = board.starts[run]; at < board.starts[run + 1]; at++) {
    const value = board.curves.values[metric][at];
    if (Number.isFinite(value)) {
      epochs.push(board.curves.epochs[at]);
      found.push(value);
    }
  }
  return { epochs, values: found };
}

// The median over seeds in a band from the lowest to the highest.
function bandsFigure(board, metric) {
  const rows = board.rows.filter((row) => row.runs.some((run) => board.starts[run + 1] > board.starts[run])).slice(0, TOP);
  const data = rows.flatMap((row, at) => {
    const name = `${row.rank + 1}. ${nameOf(board, row)}`;
    const byEpoch = new Map();
    for (const run of row.runs) {
      const { epochs, values } = curveOf(board, run, metric);
      epochs.forEach((epoch, i) => byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), values[i]]));
    }
    const x = [...byEpoch.keys()].sort((a, b) => a - b);
    const of = (reduce) => x.map((epoch) => reduce(byEpoch.get(epoch)));
    const y = of(median);
    const text = x.map((epoch, i) => () => `${name}\nepoch ${epoch}: median ${general(y[i], 4)} of ${counted(byEpoch.get(epoch).length, "seed")}`);
    const color = seriesColor(at);
    const mode = x.length <= ALONE ? "lines+markers" : "lines";
    const band = { type: "band", x, low: of((v) => Math.min(...v)), high: of((v) => Math.max(...v)), color, legendgroup: name, hoverinfo: "skip" };
    const line = { type: "scatter", mode, x, y, text, name, legendgroup: name, open: x.map(() => () => openRow(board, row)) };
    return [band, { ...line, line: { color, width: 1.8, dash: seriesDash(at) }, marker: { color, size: 5 } }];
  });
  return { data, layout: curveLayout(board, metric, data) };
}

function singleFigure(board, metric) {
  const ranked = board.rows.flatMap((row) => row.runs.map((run) => [row, run])).filter(([, run]) => board.starts[run + 1] > board.starts[run]);
  const count = Math.min(SINGLE, ranked.length);
  const picked = Array.from({ length: count }, (_, at) => ranked[count > 1 ? Math.floor((at * (ranked.length - 1)) / (count - 1)) : 0]);
  const last = Math.max(board.rows.length - 1, 1);
  const data = picked.reverse().map(([row, run]) => {
    const { epochs, values } = curveOf(board, run, metric);
    const name = `rank ${row.rank + 1} · ${nameOf(board, row)} · ${board.statusName(run)}`;
    const color = shade(row.rank / last);
    const text = epochs.map((epoch, i) => () => `${name}\nepoch ${epoch}: ${general(values[i], 4)}`);
    const mode = values.length <= 1 ? "markers" : "lines";
    return { type: "scatter", mode, x: epochs, y: values, text, line: { color, width: 1.1, opacity: 0.8 }, marker: { color, size: 5 }, open: epochs.map(() => () => openRow(board, row)) };
  });
  return { figure: { data, layout: curveLayout(board, metric, data) }, drawn: picked.length, all: ranked.length };
}

// From the colour of the best (0) to that of the last (1).
function shade(at) {
  return `color-mix(in oklab, var(--last) ${(100 * Math.min(Math.max(at, 0), 1)).toFixed(0)}%, var(--best))`;
}
