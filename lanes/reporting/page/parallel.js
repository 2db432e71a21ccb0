// Parallel coordinates: a line for each combination through its value of each axis, to its metric.

const SHADES = 16; // lines of similar rank are one path
const PARALLEL = { height: 340, top: 44, bottom: 22, least: 96 };

function parallelOf(board, place) {
  return () => {
    const columns = [...board.axes.map((_, axis) => axisColumn(board, axis)), metricColumn(board)];
    const room = Math.max(place.clientWidth || 640, 280);
    const step = Math.max((room - 130) / Math.max(columns.length - 1, 1), PARALLEL.least);
    const width = Math.max(step * (columns.length - 1) + 130, 240);
    const x = (at) => 60 + at * step;
    const lines = board.rows.map((row) => columns.map((one) => one.place(row)));
    const root = svg(
      "svg",
      { viewBox: `0 0 ${width} ${PARALLEL.height}`, width, height: PARALLEL.height, class: "chart parallel", role: "group", "aria-label": `Parallel coordinates of ${counted(board.rows.length, "combination")}` },
      ...shadedLines(board, lines, x),
      ...columns.flatMap((one, at) => columnLabels(board, one, x(at), step))
    );
    place.replaceChildren(make("div", { class: "sideways" }, root));
    following(board, root, lines, x, step);
  };
}

const span = () => [PARALLEL.height - PARALLEL.bottom, PARALLEL.top];

function axisColumn(board, axis) {
  const { name, values, numbers, sampled, coarse } = board.axes[axis];
  if (!sampled) {
    const present = [...new Set(board.rows.map((row) => row.labels[axis]))].sort((a, b) => a - b);
    const scale = categoryScale({ categoryarray: present }, [], span());
    const ticks = present.map((at) => ({ at: scale.place(at), text: values[at] ?? coarse[at], value: values[at] }));
    return { name, ticks, place: (row) => scale.place(row.labels[axis]) };
  }
  const known = board.rows.map((row) => numbers[row.labels[axis]]);
  const scale = scaleOf({ type: spans(known) ? "log" : "linear" }, known, span());
  return { name, ticks: scale.ticks.map(({ value, text }) => ({ at: scale.place(value), text })), place: (row) => scale.place(numbers[row.labels[axis]]) };
}

// The better end is up.
function metricColumn(board) {
  const known = board.rows.map((row) => row.value).filter(Number.isFinite);
  const [bottom, top] = span();
  const ends = board.lower ? [top, bottom - 18] : [bottom - 18, top];
  const scale = scaleOf({ type: board.lower && spans(known) ? "log" : "linear" }, known, ends);
  const ticks = scale.ticks.map(({ value, text }) => ({ at: scale.place(value), text }));
  if (known.length < board.rows.length) ticks.push({ at: bottom, text: "no value" });
  return { name: words(board.metric), ticks, place: (row) => (Number.isFinite(row.value) ? scale.place(row.value) : bottom) };
}

function linePath(line, x) {
  return line.map((y, at) => `${at ? "L" : "M"}${x(at).toFixed(0)} ${y.toFixed(1)}`).join("");
}

function shadedLines(board, lines, x) {
  const paths = Array.from({ length: SHADES + 1 }, () => []);
  const last = Math.max(board.rows.length - 1, 1);
  board.rows.forEach((row, at) => {
    const shadeAt = Number.isFinite(row.value) ? Math.min(Math.floor((row.rank / last) * SHADES), SHADES - 1) : SHADES;
    paths[shadeAt].push(linePath(lines[at], x));
  });
  const opacity = Math.max(Math.min(60 / Math.max(board.rows.length, 1), 0.75), 0.08);
  const drawn = paths.map((parts, at) => {
    const lost = at === SHADES;
    const style = { stroke: lost ? "var(--series-1)" : shade(at / (SHADES - 1)), "stroke-dasharray": lost ? "4 3" : null };
    return svg("path", { d: parts.join(""), fill: "none", opacity: at === 0 ? Math.max(opacity, 0.5) : opacity, "stroke-width": 1.3, ...style });
  });
  return [drawn[SHADES], ...drawn.slice(0, SHADES).reverse()]; // the best on top
}

// Labels of values are buttons that add their value to the filter.
function columnLabels(board, { name, ticks }, x, step) {
  const letters = Math.floor((step - 14) / LETTER);
  const [bottom, top] = span();
  const labels = ticks.map(({ at, text, value }) => {
    const label = labelled("text", { x: x + 6, y: at + 4, class: "tick halo" }, text, letters);
    if (value === undefined) return label;
    const keep = () => addTerm(name, value);
    const press = (event) => ["Enter", " "].includes(event.key) && (event.preventDefault(), keep());
    const attributes = { role: "button", tabindex: 0, class: "pick", "aria-label": `keep ${name} ${value}`, onclick: keep, onkeydown: press };
    return svg("g", attributes, label);
  });
  const title = labelled("text", { x, y: 14, class: "title", "text-anchor": "middle" }, name, (step - 6) / LETTER);
  return [svg("line", { x1: x, x2: x, y1: top - 12, y2: bottom, class: "axisline" }), title, ...labels];
}

// The line nearest to the pointer stands out, with its text; a click opens it.
function following(board, root, lines, x, step) {
  const strong = svg("path", { fill: "none", class: "strong" });
  root.append(strong);
  let found = -1;
  root.addEventListener("pointermove", (event) => {
    const box = root.getBoundingClientRect();
    const scale = root.viewBox.baseVal.width / box.width;
    const [px, py] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const at = Math.min(Math.max((px - x(0)) / step, 0), lines[0].length - 1);
    const [from, part] = [Math.min(Math.floor(at), Math.max(lines[0].length - 2, 0)), at - Math.min(Math.floor(at), Math.max(lines[0].length - 2, 0))];
    let least = 14;
    found = -1;
    lines.forEach((line, index) => {
      const distance = Math.abs(line[from] + part * ((line[from + 1] ?? line[from]) - line[from]) - py);
      if (distance < least) [least, found] = [distance, index];
    });
    strong.setAttribute("d", found < 0 ? "" : linePath(lines[found], x));
    if (found < 0) hideTip();
    else showTip(hoverText(board, board.rows[found]), event.clientX, event.clientY);
  });
  root.addEventListener("pointerleave", () => {
    strong.setAttribute("d", "");
    hideTip();
  });
  root.addEventListener("click", (event) => {
    if (found >= 0 && !event.target.closest(".pick")) openRow(board, board.rows[found]);
  });
}
