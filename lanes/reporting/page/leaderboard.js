// The leaderboard: sorting, saving as CSV, and the runs of a combination with the commands that work on them.

const FIRST_ROWS = 50;
const MORE_ROWS = 200;

function leaderboardOf(board, place) {
  const state = { limit: FIRST_ROWS, column: 0, ascending: true, open: new Set() };
  const shown = make("span", { class: "shown", role: "status" });
  const more = button(`Show ${MORE_ROWS} more`, () => {
    state.limit += MORE_ROWS;
    draw();
  });
  const tools = make(
    "div",
    { class: "tools" },
    shown,
    more,
    button("Save combinations as CSV", () => save("combinations.csv", csv(combinationTable(board)))),
    button("Save runs as CSV", () => save("runs.csv", csv(runTable(board))))
  );
  const table = make("table", { class: "wide" });
  const around = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Leaderboard" }, table);
  const draw = () => {
    const columns = columnsOf(board);
    const rows = sortedRows(board, columns[Math.min(state.column, columns.length - 1)], state.ascending);
    const drawn = rows.slice(0, state.limit);
    const sort = (at) => {
      state.ascending = state.column === at ? !state.ascending : true;
      state.column = at;
      draw();
      table.tHead.rows[0].cells[at].firstElementChild.focus();
    };
    const body = make("tbody", {}, ...drawn.flatMap((row) => rowLines(board, columns, row, state.open)));
    table.replaceChildren(headOf(columns, state, sort), body);
    shown.textContent = `Showing ${drawn.length.toLocaleString("en")} of ${counted(rows.length, "combination")}${board.kept ? `, of ${board.members.length.toLocaleString("en")} without the filter` : ""}`;
    more.hidden = rows.length <= state.limit;
  };
  board.open = (row) => {
    [state.column, state.ascending] = [0, true];
    state.limit = Math.max(state.limit, row.rank + 1);
    state.open.add(row.combination);
    draw();
    const line = table.tBodies[0].querySelector(`[data-combination="${row.combination}"]`);
    line.scrollIntoView({ block: "center" });
    line.querySelector("button").focus({ preventScroll: true });
  };
  place.replaceChildren(tools, around);
  return draw;
}

// The best of the combinations that a filter keeps, as the page's answer has it for all.
function bestKept(board) {
  const best = board.rows[0];
  if (!Number.isFinite(best.value)) return make("p", { class: "warn" }, "No run that the filter keeps has a value.");
  const facts = board.shown.map((name) => [words(name), cellText(board, best, name)]);
  facts.push(["n", String(best.metrics[board.metric].n)], ["combinations", board.rows.length.toLocaleString("en")]);
  const pairs = facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  const title = make("p", { class: "choice" }, make("span", {}, "Best of what the filter keeps: "), nameOf(board, best));
  return make("div", { class: "answer" }, title, make("dl", { class: "facts" }, ...pairs));
}

const TOP_ROWS = 5;

function topTable(board, place) {
  const columns = columnsOf(board);
  const numeric = new Set(columns.flatMap(({ numeric }, at) => (numeric ? [at] : [])));
  const rows = board.rows.slice(0, TOP_ROWS).map((row) => columns.map(({ text }) => text(row)));
  place.replaceChildren(tableOf(columns.map(({ name }) => name), rows, numeric));
}

function openRow(board, row) {
  hideTip();
  board.open?.(row);
}

// ---- columns ----

// Each with a name, a cell's text, and what it sorts and is saved by.
function columnsOf(board) {
  const axes = board.one_change
    ? [{ name: "change", text: (row) => nameOf(board, row), key: (row) => row.combination, numeric: false }]
    : board.axes.map((axis, at) => axisOf(board, axis, at));
  const metrics = board.shown.map((name) => ({
    name,
    text: (row) => cellText(board, row, name),
    key: (row) => row.metrics[name].mean,
    numeric: true,
  }));
  const plain = (value) => intervalText({ mean: value, half: NaN, n: 1 }, board.digits[board.metric]);
  const count = (name, of) => ({ name, text: (row) => String(of(row) || ""), key: of, numeric: true });
  const extra = [];
  if (board.hasGap) extra.push({ name: "gap", text: (row) => plain(row.gap), key: (row) => row.gap, numeric: true });
  extra.push({ ...count("n", (row) => row.metrics[board.metric].n), text: (row) => String(row.metrics[board.metric].n) });
  extra.push(count("diverged", (row) => row.counts.diverged));
  if (board.hasPruned) {
    extra.push(count("pruned", (row) => row.counts.pruned));
    extra.push({ name: "pruned runs", text: (row) => earlyText(board, row), key: (row) => row.early.mean, numeric: true });
  }
  const rank = { name: "rank", text: (row) => String(row.rank + 1), key: (row) => row.rank, numeric: true };
  return [rank, ...axes, ...metrics, ...extra];
}

function axisOf(board, axis, at) {
  const key = axis.numbers ? (row) => axis.numbers[row.labels[at]] : (row) => labelOf(board, row, at);
  return { name: axis.name, text: (row) => labelOf(board, row, at), key, numeric: false, sortsAsNumber: Boolean(axis.numbers) };
}

function sortedRows(board, column, ascending) {
  if (column.numeric || column.sortsAsNumber) {
    const order = (a, b) => compareNumbers(column.key(a), column.key(b));
    const reversed = (a, b) => (Number.isNaN(column.key(a)) || Number.isNaN(column.key(b)) ? order(a, b) : -order(a, b));
    return [...board.rows].sort(ascending ? order : reversed); // what has no value is last either way
  }
  const order = new Intl.Collator(undefined, { numeric: true });
  return [...board.rows].sort((a, b) => order.compare(column.text(a), column.text(b)) * (ascending ? 1 : -1));
}

function headOf(columns, { column, ascending }, sort) {
  const cells = columns.map(({ name, numeric }, at) => {
    const sorted = at === column ? (ascending ? "ascending" : "descending") : null;
    return make("th", { scope: "col", class: numeric ? "number" : null, "aria-sort": sorted }, button(name, () => sort(at), { class: "sort" }));
  });
  return make("thead", {}, make("tr", {}, ...cells));
}

// ---- rows ----

function rowLines(board, columns, row, open) {
  const details = make("tr", { class: "details" });
  const toggle = button(columns[0].text(row), () => flip(), { class: "rank", "aria-label": `rank ${row.rank + 1}: runs and commands` });
  const fill = () => {
    const isOpen = open.has(row.combination);
    toggle.setAttribute("aria-expanded", String(isOpen));
    details.hidden = !isOpen;
    if (isOpen && !details.firstChild) details.append(make("td", { colspan: columns.length }, detailsOf(board, row)));
  };
  const flip = () => {
    if (!open.delete(row.combination)) open.add(row.combination);
    fill();
  };
  const cells = columns.map(({ text, numeric }, at) => make("td", { class: numeric ? "number" : null }, at ? text(row) : toggle));
  const press = (event) => event.target.closest("button") || getSelection().toString() || flip();
  fill();
  return [make("tr", { class: "combination", "data-combination": row.combination, onclick: press }, ...cells), details];
}

function detailsOf(board, row) {
  const metrics = Object.keys(board.metrics).filter((name) => row.runs.some((run) => Number.isFinite(board.metrics[name][run])));
  const head = ["run", "seed", "status", "epochs", "best epoch", ...(row.counts.diverged ? ["first non-finite step"] : []), ...metrics];
  const plain = (value) => (Number.isFinite(value) ? String(value) : "–");
  const rows = row.runs.map((run) => [
    make("code", {}, board.run_id[run]),
    plain(board.seed[run]),
    board.statusName(run).replaceAll("_", " "),
    plain(board.epochs[run]),
    plain(board.best_epoch[run]),
    ...(row.counts.diverged ? [plain(board.diverged_step[run])] : []),
    ...metrics.map((name) => general(board.metrics[name][run], 6).replace("NaN", "–")),
  ]);
  const numeric = new Set(head.flatMap((name, at) => (name === "run" || name === "status" ? [] : [at])));
  const commands = make("div");
  const choose = (run) => commands.replaceChildren(...commandLines(board, row, run));
  choose(row.runs[0]);
  const chooser = select("Commands for run", row.runs.map((run) => [run, `${board.run_id[run]} · seed ${plain(board.seed[run])}`]), row.runs[0], (run) => choose(Number(run)));
  return make("div", {}, tableOf(head, rows, numeric), make("div", { class: "tools" }, chooser), commands);
}

function commandLines(board, row, run) {
  const path = board.directory.paths[board.directory.of[run]];
  const id = board.run_id[run];
  const all = row.runs.map((one) => board.run_id[one]);
  const lines = [
    ["Train it again", `lanes train --run ${shell(`${path}:${id}`)} --out ${shell(`${path}-${id}`)}`],
    ["Evaluate it", `lanes evaluate ${shell(path)} --run ${id}`],
    ["Its net in Python", `net, variables = lanes.restore(${JSON.stringify(path)}, ${JSON.stringify(id)})`],
  ];
  if (all.length > 1) lines.splice(2, 0, [`Evaluate all ${all.length}`, `lanes evaluate ${shell(path)} --run ${all.join(" ")}`]);
  return lines.map(([what, text]) => {
    const copier = button("Copy", () => copy(text, copier), { "aria-label": `Copy: ${what}` });
    return make("div", { class: "command" }, make("span", {}, what), make("code", {}, text), copier);
  });
}

function shell(text) {
  return /^[\w./:=,@%+][\w./:=,@%+-]*$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

// ---- CSV ----

// Labels of numeric axes are numbers; means, half widths and counts stand in full.
function combinationTable(board) {
  const metrics = Object.keys(board.metrics);
  const head = ["rank", ...board.axes.map((axis) => axis.name), ...metrics.flatMap((name) => [name, `${name} half`, `${name} n`])];
  const counts = board.statuses;
  const rows = board.rows.map((row) => [
    row.rank + 1,
    ...board.axes.map((axis, at) => (axis.numbers ? axis.numbers[row.labels[at]] : labelOf(board, row, at))),
    ...metrics.flatMap((name) => [row.metrics[name].mean, row.metrics[name].half, row.metrics[name].n]),
    row.gap,
    ...counts.map((name) => row.counts[name]),
    row.early.mean,
    row.early.epoch,
    row.early.n,
  ]);
  return [[...head, "gap", ...counts, "early", "early epoch", "early n"], ...rows];
}

function runTable(board) {
  const metrics = Object.keys(board.metrics);
  const head = ["run_id", "status", "rank", ...board.axes.map((axis) => axis.name), "seed", "epochs_done", "best_epoch", "diverged_step", ...metrics];
  const rows = board.rows.flatMap((row) =>
    row.runs.map((run) => [
      board.run_id[run],
      board.statusName(run),
      row.rank + 1,
      ...board.axes.map((axis, at) => (axis.numbers ? axis.numbers[row.labels[at]] : labelOf(board, row, at))),
      ...[board.seed, board.epochs, board.best_epoch, board.diverged_step].map((column) => column[run]),
      ...metrics.map((name) => shortest(board.metrics[name], run)),
    ])
  );
  return [head, ...rows];
}

// The shortest decimal that is the same float32, of a column that holds them.
function shortest(column, at) {
  const value = column[at];
  if (!(column instanceof Float32Array) || !Number.isFinite(value)) return value;
  for (let digits = 6; digits < 10; digits++) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return text;
  }
  return value;
}
