// The heat map of any two axes.

const CELLS = 40; // most rows, and most columns
const CELL = { height: 30, least: 46 };
const REASONS = ["diverged", "failed", "pruned", "pending"];

function pairsOf(board, place) {
  const state = { over: "best" };
  const body = make("div");
  const note = make("p", { class: "note" });
  const names = board.axes.map((axis, at) => [at, axis.name]);
  const draw = () => drawPair(board, body, note, state);
  const choose = (field) => (value) => {
    const other = field === "rows" ? "columns" : "rows";
    if (Number(value) === state[other]) state[other] = state[field];
    state[field] = field === "over" ? value : Number(value);
    controls();
    draw();
    place.querySelector(`[data-field=${field}] select`).focus();
  };
  const tools = make("div", { class: "tools" });
  const controls = () => {
    const over = [["best", "the best"], ["median", "the median"]];
    const fields = { rows: ["Rows", names], columns: ["Columns", names], over: ["Over the other axes show", over] };
    tools.replaceChildren(
      ...Object.entries(fields).map(([field, [label, options]]) => {
        const one = select(label, options, state[field], choose(field));
        one.dataset.field = field;
        return one;
      })
    );
  };
  place.replaceChildren(tools, body, note);
  return () => {
    if (state.rows === undefined) {
      const ordered = board.axes.map((_, axis) => [effectOf(board, board.rows, axis), axis]).sort(([a, i], [b, j]) => b - a || i - j);
      const size = (axis) => board.axes[axis].coarse.length;
      [state.columns, state.rows] = ordered.slice(0, 2).map(([, axis]) => axis).sort((a, b) => size(a) - size(b));
      controls();
    }
    draw();
  };
}

// For each cell the best row, the median and, without a value, how most of its runs ended.
function gridOf(board, rows, first, second) {
  const cells = new Map();
  for (const row of rows) {
    const key = `${coarseOf(board, row, first)},${coarseOf(board, row, second)}`;
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(row);
  }
  for (const [key, part] of cells) {
    const best = part.find((row) => Number.isFinite(row.value));
    const totals = REASONS.map((name) => part.reduce((total, row) => total + row.counts[name], 0));
    const most = Math.max(...totals);
    const reason = best ? "" : most ? REASONS[totals.indexOf(most)] : "no value";
    cells.set(key, { best, median: median(part.map((row) => row.value)), reason, count: part.length });
  }
  return cells;
}

// The positions of values to show: all that have combinations, or the best-ranked.
function shownValues(board, cells, axis, side) {
  const ranks = new Map();
  for (const [key, { best }] of cells) {
    const at = Number(key.split(",")[side]);
    ranks.set(at, Math.min(ranks.get(at) ?? Infinity, best?.rank ?? Infinity));
  }
  const all = [...ranks.keys()];
  const kept = all.sort((a, b) => ranks.get(a) - ranks.get(b) || a - b).slice(0, CELLS).sort((a, b) => a - b);
  const cut = kept.length < all.length ? `${kept.length} of ${all.length} values of ${board.axes[axis].name}` : "";
  return [kept, cut];
}

function drawPair(board, body, note, { rows: first, columns: second, over }) {
  const cells = gridOf(board, board.rows, first, second);
  const [across, cutAcross] = shownValues(board, cells, second, 1);
  const [down, cutDown] = shownValues(board, cells, first, 0);
  const at = (i, j) => cells.get(`${i},${j}`);
  const value = (cell) => (over === "best" ? cell.best?.value : cell.median);
  const numbers = down.flatMap((i) => across.flatMap((j) => (at(i, j) ? [value(at(i, j))] : [])));
  const color = colorScale(numbers.filter(Number.isFinite), board.lower);
  const longest = Math.max(...down.map((i) => board.axes[first].coarse[i].length), 1);
  const room = Math.max(body.clientWidth || 640, 240);
  const left = Math.min(longest * LETTER + 12, room * 0.4, 260) + 20;
  const step = Math.max((room - left - 4) / Math.max(across.length, 1), CELL.least);
  const widest = Math.max(...across.map((j) => board.axes[second].coarse[j].length), 1);
  const turned = widest * LETTER + 6 > step;
  const top = turned ? Math.min(widest, TURNED) * LETTER * 0.68 + 34 : 40;
  const [width, height] = [left + step * across.length + (turned ? 40 : 4), top + CELL.height * down.length + 4];
  const marks = [];
  const parts = down.flatMap((i, y) =>
    across.flatMap((j, x) => {
      const cell = at(i, j);
      const box = { x: left + x * step + 1, y: top + y * CELL.height + 1, width: step - 2, height: CELL.height - 2 };
      const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
      const named = `${board.axes[first].name} ${board.axes[first].coarse[i]}, ${board.axes[second].name} ${board.axes[second].coarse[j]}`;
      marks.push({ ...middle, text: () => `${named}\n${cellHover(board, cell, over)}`, open: cell?.best && (() => openRow(board, cell.best)) });
      return drawCell(board, cell, cell ? value(cell) : NaN, box, middle, color);
    })
  );
  const labels = { down, across, first, second, left, top, step, turned };
  const name = `${words(board.metric)} by ${board.axes[first].name} and ${board.axes[second].name}`;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "chart heat", role: "img", "aria-label": name }, ...pairLabels(board, labels), ...parts);
  body.replaceChildren(make("div", { class: "sideways" }, root));
  hovering(root, marks);
  const cut = [cutDown, cutAcross].filter(Boolean).join(" and ");
  note.textContent = cut ? `Showing ${cut}: the best-ranked.` : "";
}

function drawCell(board, cell, number, box, middle, color) {
  if (!cell) return [svg("rect", { ...box, class: "cell unplanned" })];
  const known = Number.isFinite(number);
  const digits = Math.min(board.digits[board.metric], 3);
  const text = known ? (Math.abs(number) < 1e4 ? fixed(number, digits) : general(number, 2)) : cell.reason || "no value";
  const room = Math.floor(box.width / LETTER);
  return [
    svg("rect", { ...box, class: known ? "cell" : "cell without", style: known ? `fill:${color(number)}` : null }),
    labelled("text", { x: middle.x, y: middle.y + 4, "text-anchor": "middle", class: known ? "number" : "reason" }, text, room),
  ];
}

function cellHover(board, cell, over) {
  if (!cell) return "not planned";
  if (over === "median" && Number.isFinite(cell.median)) return `median over ${counted(cell.count, "combination")}: ${general(cell.median, 4)}`;
  return cell.best ? hoverText(board, cell.best) : cell.reason;
}

function pairLabels(board, { down, across, first, second, left, top, step, turned }) {
  const rows = down.map((i, y) =>
    labelled("text", { x: left - 7, y: top + (y + 0.5) * CELL.height + 4, "text-anchor": "end", class: "tick" }, board.axes[first].coarse[i], (left - 28) / LETTER + 1)
  );
  const columns = across.map((j, x) => {
    const at = left + (x + 0.5) * step;
    const turn = turned ? { "text-anchor": "start", transform: `rotate(-40 ${at} ${top - 7})` } : { "text-anchor": "middle" };
    return labelled("text", { x: at, y: top - 7, class: "tick", ...turn }, board.axes[second].coarse[j], turned ? TURNED : 60);
  });
  const middle = top + (down.length * CELL.height) / 2;
  return [
    ...rows,
    ...columns,
    labelled("text", { x: left, y: 13, class: "title" }, board.axes[second].name, 60),
    labelled("text", { x: 12, y: middle, class: "title", "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, board.axes[first].name, Math.max(down.length * 5, 12)),
  ];
}

// From the worst to the best value; the worst counts at most four times as far from the best as the median, or one
// combination that learns nothing would give all others one colour.
function colorScale(values, lower) {
  if (!values.length) return () => "var(--heat-1)";
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const best = lower ? low : high;
  let reach = Math.abs((lower ? high : low) - best);
  const usual = 4 * Math.abs(median(values) - best);
  if (usual > 0) reach = Math.min(reach, usual);
  return (value) => {
    const at = reach > 0 ? Math.min(Math.abs(value - best) / reach, 1) : 0;
    return `color-mix(in oklab, var(--heat-0) ${(100 * at).toFixed(0)}%, var(--heat-1))`;
  };
}
