// Draws a figure, a dictionary of `data` and `layout` (lanes/reporting/plotting.py), as SVG.

const LETTER = 6.4; // width of a letter of an axis's labels, in pixels
const TURNED = 24; // most letters of a label at an angle
const NEAR = 28; // pixels from a point at which its text is shown

// Draws into `place`, in place of what was there; `name` says what the figure shows to those who do not see it.
function drawFigure(place, figure, name, hidden = new Set()) {
  const { layout } = figure;
  const draw = () => drawFigure(place, figure, name, hidden);
  const width = Math.max(place.clientWidth || 640, 240);
  const data = figure.data.filter((trace) => !hidden.has(trace.legendgroup ?? trace.name));
  const frame = frameOf(layout, data.length ? data : figure.data, width);
  const marks = { spots: [] };
  const shapes = (layout.shapes ?? []).flatMap((shape) => shapeOf(shape, frame) ?? []);
  const drawn = data.flatMap((trace) => drawTrace(trace, frame, marks));
  const root = svg(
    "svg",
    { viewBox: `0 0 ${width} ${frame.height}`, class: "chart", role: "img", "aria-label": `${name}, ${counted(marks.spots.length, "point")}` },
    ...axesOf(frame, layout),
    ...shapes,
    ...drawn
  );
  const parts = [root];
  if (layout.showlegend) parts.unshift(legendOf(figure.data, hidden, draw, layout.legend?.title?.text));
  place.replaceChildren(...parts);
  place.style.minHeight = "";
  if (marks.spots.length) hovering(root, marks.spots);
}

function fitted(text, letters) {
  return text.length > letters ? `${text.slice(0, Math.max(letters - 1, 1))}…` : text;
}

// Margins that hold the labels, and the two scales.
function frameOf(layout, data, width) {
  const { xaxis, yaxis, barmode } = layout;
  const [xs, ys] = ["x", "y"].map((axis) => data.flatMap((trace) => extent(trace, axis)));
  const [top, right] = [10, 14];
  const longest = (scale) => Math.max(...scale.ticks.map(({ text }) => text.length), 1);
  const named = (axis) => axis.type === "category" || axis.ticktext !== undefined;
  let [height, bottom, left, letters, turned, x] = [layout.height, 44];
  let y = scaleOf(yaxis, ys, [height - bottom, top]);
  for (let pass = 0; pass < 2; pass++) {
    letters = named(yaxis) ? Math.min(longest(y), Math.floor((width * 0.42) / LETTER)) : longest(y);
    left = yaxis.visible === false ? 8 : letters * LETTER + 14 + (yaxis.title?.text ? 18 : 0);
    x = scaleOf({ ...xaxis, horizontal: true }, xs, [left, width - right]);
    turned = x.category && longest(x) * LETTER + 8 > x.step;
    const under = turned ? Math.min(longest(x), TURNED) * LETTER * 0.68 + 14 : 18; // 0.68: the sine of 40° and a little
    height = layout.height + Math.max(under - 44, 0); // long labels take no room from the figure
    bottom = xaxis.visible === false ? 8 : under + (xaxis.title?.text ? 22 : 6);
    y = scaleOf(yaxis, ys, [height - bottom, top]);
  }
  return { width, height, left, right, top, bottom, x, y, turned, letters, barmode };
}

// The values of a trace on an axis, ends of intervals and the zero that bars stand on included.
function extent(trace, axis) {
  if (trace.type === "band" && axis === "y") return [...trace.low, ...trace.high];
  const values = trace[axis] ?? [];
  const bars = trace[`error_${axis}`];
  const out = [...values];
  if (bars) values.forEach((value, at) => out.push(value + bars.array[at], value - (bars.arrayminus ?? bars.array)[at]));
  if (trace.type === "bar" && axis === (trace.orientation === "h" ? "x" : "y")) out.push(0);
  return out;
}

function axesOf(frame, { xaxis, yaxis }) {
  const { left, right, top, bottom, width, height, x, y } = frame;
  const base = height - bottom;
  const parts = [];
  if (yaxis.visible !== false) {
    for (const { value, text } of y.ticks) {
      const at = y.place(value);
      parts.push(svg("line", { x1: left, x2: width - right, y1: at, y2: at, class: "gridline" }));
      parts.push(labelled("text", { x: left - 7, y: at + 4, class: "tick", "text-anchor": "end" }, text, frame.letters));
    }
    const middle = (top + base) / 2;
    const title = { x: 12, y: middle, class: "title", "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` };
    parts.push(labelled("text", title, yaxis.title?.text ?? "", (base - top) / LETTER + 6));
  }
  if (xaxis.visible !== false) {
    let free = -Infinity; // labels that would run into the one before are left out, of numbers
    for (const { value, text } of x.ticks) {
      const at = x.place(value);
      if (!x.category) parts.push(svg("line", { x1: at, x2: at, y1: top, y2: base, class: "gridline" }));
      const turn = { "text-anchor": "end", transform: `rotate(-40 ${at + 4} ${base + 14})` };
      const half = (text.length * LETTER) / 2;
      if (!x.category && at - half < free) continue;
      free = at + half + 6;
      parts.push(labelled("text", { x: at + (frame.turned ? 4 : 0), y: base + (frame.turned ? 14 : 16), class: "tick", "text-anchor": "middle", ...(frame.turned ? turn : {}) }, text, frame.turned ? TURNED : 60));
    }
    parts.push(svg("line", { x1: left, x2: width - right, y1: base, y2: base, class: "axisline" }));
    const title = { x: (left + width - right) / 2, y: height - 6, class: "title", "text-anchor": "middle" };
    parts.push(labelled("text", title, xaxis.title?.text ?? "", (width - left) / LETTER));
  }
  return parts;
}

// A text that is shortened keeps its whole in a title, which the browser shows.
function labelled(tag, attributes, text, letters) {
  const shown = fitted(text, Math.floor(letters));
  return svg(tag, attributes, shown, shown === text ? null : svg("title", {}, text));
}

// A straight line; none where it would lie outside the axes.
function shapeOf(shape, { x, y, left, right, top, bottom, width, height }) {
  const outside = (value, reference, { low, high }) => reference !== "paper" && (value < Math.min(low, high) || value > Math.max(low, high));
  if ([shape.x0, shape.x1].some((value) => outside(value, shape.xref, x)) || [shape.y0, shape.y1].some((value) => outside(value, shape.yref, y))) return null;
  const along = (value, reference, scale, from, to) => (reference === "paper" ? from + value * (to - from) : scale.place(value));
  const [x1, x2] = [shape.x0, shape.x1].map((value) => along(value, shape.xref, x, left, width - right));
  const [y1, y2] = [shape.y0, shape.y1].map((value) => along(value, shape.yref, y, height - bottom, top));
  return svg("line", { x1, x2, y1, y2, class: "reference" });
}

// ---- traces ----

function drawTrace(trace, frame, marks) {
  if (trace.type === "bar") return drawBars(trace, frame, marks);
  if (trace.type === "band") return [svg("path", { d: bandPath(trace, frame), fill: trace.color, class: "band" })];
  const parts = [];
  const mode = trace.mode ?? "lines";
  if (mode.includes("lines")) parts.push(drawLine(trace, frame));
  if (trace.error_x || trace.error_y) parts.push(drawErrors(trace, frame));
  if (mode.includes("markers")) parts.push(drawPoints(trace, frame));
  addSpots(trace, frame, marks);
  return parts;
}

function drawLine({ x, y, line = {} }, frame) {
  let d = "";
  let pen = "M";
  for (let at = 0; at < x.length; at++) {
    const [px, py] = [frame.x.place(x[at]), frame.y.place(y[at])];
    if (!Number.isFinite(px) || !Number.isFinite(py)) {
      pen = "M";
      continue;
    }
    d += `${pen}${px.toFixed(1)} ${py.toFixed(1)}`;
    pen = "L";
  }
  const style = { stroke: line.color ?? "var(--series-0)", "stroke-width": line.width ?? 1.8, "stroke-dasharray": line.dash };
  return svg("path", { d, fill: "none", "stroke-linejoin": "round", opacity: line.opacity, ...style });
}

function bandPath({ x, low, high }, frame) {
  const at = (values) => x.map((value, i) => `${frame.x.place(value).toFixed(1)} ${frame.y.place(values[i]).toFixed(1)}`);
  const points = [...at(high), ...at(low).reverse()];
  return points.length ? `M${points.join("L")}Z` : "";
}

// All points of a trace are one path: ten thousand are drawn as fast as ten.
function drawPoints({ x, y, marker = {} }, frame) {
  const { size = 7, color = "var(--series-0)", symbol = "circle", opacity } = marker;
  const half = size / 2;
  let d = "";
  for (let at = 0; at < x.length; at++) {
    const [px, py] = [frame.x.place(x[at]), frame.y.place(y[at])];
    if (!Number.isFinite(px) || !Number.isFinite(py)) continue;
    const [cx, cy] = [px.toFixed(1), py.toFixed(1)];
    if (symbol === "x") d += `M${(px - half).toFixed(1)} ${(py - half).toFixed(1)}l${size} ${size}m0 ${-size}l${-size} ${size}`;
    else if (symbol === "circle-open") d += `M${(px - half).toFixed(1)} ${cy}a${half} ${half} 0 1 0 ${size} 0a${half} ${half} 0 1 0 ${-size} 0`;
    else d += `M${cx} ${cy}h0`;
  }
  const stroke = symbol === "circle" ? { "stroke-width": size, "stroke-linecap": "round" } : { "stroke-width": 1.6 };
  return svg("path", { d, fill: "none", stroke: color, opacity, ...stroke });
}

function drawErrors({ x, y, error_x, error_y, marker = {} }, frame) {
  let d = "";
  x.forEach((value, at) => {
    const [bars, flat] = error_x ? [error_x, true] : [error_y, false];
    const middle = flat ? value : y[at];
    const scale = flat ? frame.x : frame.y;
    const across = flat ? frame.y.place(y[at]) : frame.x.place(value);
    const up = bars.array[at];
    const down = (bars.arrayminus ?? bars.array)[at];
    if (!(up > 0) && !(down > 0)) return;
    const [a, b] = [scale.place(middle - down), scale.place(middle + up)].map((end, i) =>
      Number.isFinite(end) ? end : scale.place(i ? scale.high : scale.low)
    );
    d += flat ? `M${a} ${across}H${b}M${a} ${across - 3}v6M${b} ${across - 3}v6` : `M${across} ${a}V${b}M${across - 3} ${a}h6M${across - 3} ${b}h6`;
  });
  return svg("path", { d, fill: "none", stroke: marker.color ?? "var(--series-0)", "stroke-width": 1.4 });
}

// Bars of one figure that share a place stand on each other, or with `barmode` "overlay" in front of each other.
function drawBars(trace, frame, marks) {
  const flat = trace.orientation === "h";
  const [along, across] = flat ? [frame.x, frame.y] : [frame.y, frame.x];
  const step = across.step ?? Math.abs(across.place(1) - across.place(0));
  const thick = Math.min(step * (trace.width ?? 0.62), 26);
  marks.stacked ??= new Map();
  const parts = [];
  (flat ? trace.y : trace.x).forEach((name, at) => {
    const value = (flat ? trace.x : trace.y)[at];
    const below = frame.barmode === "overlay" ? 0 : (marks.stacked.get(name) ?? 0);
    if (!Number.isFinite(value)) return;
    marks.stacked.set(name, below + value);
    const [start, end] = [along.place(below), along.place(below + value)];
    const middle = across.place(name);
    const color = Array.isArray(trace.marker?.color) ? trace.marker.color[at] : trace.marker?.color;
    const box = flat
      ? { x: Math.min(start, end), y: middle - thick / 2, width: Math.abs(end - start), height: thick }
      : { x: middle - thick / 2, y: Math.min(start, end), width: thick, height: Math.abs(end - start) };
    parts.push(svg("rect", { ...box, fill: color ?? "var(--series-0)", opacity: trace.marker?.opacity }));
    const text = trace.text?.[at] ?? `${trace.name ?? name}: ${general(value, 4)}`;
    marks.spots.push({ x: box.x + box.width / 2, y: box.y + box.height / 2, text });
  });
  if (trace.error_x || trace.error_y) parts.push(drawErrors({ ...trace, marker: { color: "var(--ink)" } }, frame));
  return parts;
}

function addSpots(trace, frame, marks) {
  if (trace.hoverinfo === "skip") return;
  trace.x.forEach((value, at) => {
    const [x, y] = [frame.x.place(value), frame.y.place(trace.y[at])];
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    const told = trace.text?.[at] ?? (() => `${trace.name ? `${trace.name}\n` : ""}${spotText(value)}: ${spotText(trace.y[at])}`);
    marks.spots.push({ x, y, text: told, open: trace.open?.[at] });
  });
}

function spotText(value) {
  return typeof value === "number" ? general(value, 4) : String(value);
}

// ---- legend, pointer and keyboard ----

function legendOf(data, hidden, draw, title) {
  const named = new Map(data.filter((trace) => trace.name).map((trace) => [trace.legendgroup ?? trace.name, trace]));
  const entries = [...named].map(([group, trace]) => {
    const color = trace.line?.color ?? trace.marker?.color ?? trace.color ?? "var(--series-0)";
    const toggle = (event) => {
      if (!hidden.delete(group)) hidden.add(group);
      const at = [...event.currentTarget.closest("ul").children].indexOf(event.currentTarget.parentElement);
      const place = event.currentTarget.closest(".plot, .live");
      draw();
      place?.querySelectorAll(".legend > li")[at]?.firstElementChild.focus();
    };
    const swatch = make("i", { style: `background:${color}`, class: trace.line?.dash ? "dashed" : null });
    return make("li", {}, make("button", { type: "button", "aria-pressed": String(!hidden.has(group)), onclick: toggle }, swatch, trace.name));
  });
  return make("ul", { class: "legend", "aria-label": title ? `${title}: show or hide` : "Legend: show or hide" }, ...entries);
}

// Shows the text of the spot nearest to the pointer; with the keyboard, arrows go from spot to spot and Enter opens it.
function hovering(root, spots) {
  spots.sort((a, b) => a.x - b.x || a.y - b.y);
  const ring = svg("circle", { r: 6, class: "ring", visibility: "hidden" });
  root.append(ring);
  let at = -1;
  const show = (index) => {
    at = index;
    const { x, y, text } = spots[at];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    ring.setAttribute("visibility", "visible");
    const box = root.getBoundingClientRect();
    const scale = box.width / root.viewBox.baseVal.width;
    showTip(typeof text === "function" ? text() : text, box.left + x * scale, box.top + y * scale);
  };
  const leave = () => {
    ring.setAttribute("visibility", "hidden");
    hideTip();
  };
  const nearest = (event) => {
    const box = root.getBoundingClientRect();
    const scale = root.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let [found, least] = [-1, NEAR ** 2];
    spots.forEach((spot, index) => {
      const distance = (spot.x - x) ** 2 + (spot.y - y) ** 2;
      if (distance < least) [found, least] = [index, distance];
    });
    return found;
  };
  root.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    if (found >= 0) show(found);
    else leave();
  });
  root.addEventListener("pointerleave", leave);
  root.addEventListener("blur", leave);
  root.addEventListener("click", (event) => spots[nearest(event)]?.open?.());
  root.setAttribute("tabindex", "0");
  root.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) show((at + step + spots.length) % spots.length);
    else if (event.key === "Escape") leave();
    else if (event.key === "Enter" && at >= 0) spots[at].open?.();
    else return;
    event.preventDefault();
  });
}
