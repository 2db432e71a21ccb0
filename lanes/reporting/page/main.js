// Reads the data, fills the places of the page, and fills them again when the filter changes.

const LIVE = {
  top: (board, place) => () => topTable(board, place),
  kept: (board, place) => () => place.replaceChildren(...(board.kept ? [bestKept(board)] : [])),
  leaderboard: (board, place) => leaderboardOf(board, place),
  best: (board, place, { most }) => () => drawBest(board, place, most),
  marginal: (board, place, { axis }) => () => drawFigure(place, marginalFigure(board, axis), `By ${board.axes[axis].name}`),
  marginals: (board, place) => () => marginalTable(board, place),
  effects: (board, place) => () => effectsTable(board, place),
  pairs: pairsOf,
  parallel: parallelOf,
  curves: curvesOf,
  gap: (board, place) => () => drawFigure(place, gapFigure(board), "Generalization gap"),
  gap_by: (board, place, { position }) => () => drawFigure(place, gapByFigure(board, position), "Generalization gap by axis"),
  outcomes: (board, place) => () => drawFigure(place, outcomesFigure(board), "How runs ended"),
};

let boards = [];
let draws = [];
let turn = 0;
let usable = null;
const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

async function start() {
  const data = await readData(document.getElementById("data").textContent);
  boards = data.boards.map((board) => prepare(Object.assign(board, { statuses: data.statuses, quantiles: data.quantiles })));
  for (const board of boards) {
    board.statusName = (run) => board.statuses[board.status[run]];
    board.rows = combinations(board, null);
    board.hasGap = board.rows.some((row) => Number.isFinite(row.gap));
    board.hasPruned = board.rows.some((row) => row.counts.pruned);
  }
  markWhole();
  draws = Array.from(document.querySelectorAll("main .live, main figure > .plot"), drawerOf);
  filterBar();
  await drawAll();
  let width = document.documentElement.clientWidth;
  window.addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    drawAll();
  });
}

// What is written from all runs, once, says so when a filter is on.
function markWhole() {
  for (const part of document.querySelectorAll("main section :is(.scroll, .answer, figure)")) {
    if (!part.closest(".live, details, #section-provenance")) part.classList.add("all-runs");
  }
}

// Of the lists of runs that ended badly, the rows that the filter keeps.
function filterLists() {
  for (const list of document.querySelectorAll("#section-outcomes details")) {
    const board = boards[list.closest("[data-board]")?.dataset.board ?? 0];
    const place = new Map(board.run_id.map((name, run) => [name, run]));
    const rows = [...list.querySelectorAll("tbody tr")];
    for (const row of rows) row.hidden = Boolean(board.kept) && !board.kept[place.get(row.cells[0].textContent)];
    const summary = list.querySelector("summary");
    if (board.kept) summary.dataset.kept = rows.filter((row) => !row.hidden).length;
    else delete summary.dataset.kept;
  }
}

function drawerOf(place) {
  if (place.classList.contains("plot")) {
    const figure = JSON.parse(place.parentElement.querySelector("script").textContent);
    const name = place.parentElement.querySelector("figcaption")?.textContent ?? "Figure";
    const hidden = new Set();
    return () => drawFigure(place, figure, name, hidden);
  }
  const board = boards[place.closest("[data-board]")?.dataset.board ?? 0];
  const inside = make("div");
  const nothing = make("p", { class: "quiet", hidden: true }, "The filter keeps no run.");
  place.replaceChildren(inside, nothing);
  const draw = LIVE[place.dataset.live](board, inside, JSON.parse(place.dataset.options ?? "{}"));
  return () => {
    place.style.minHeight = "";
    nothing.hidden = board.rows.length > 0;
    inside.hidden = !board.rows.length;
    if (board.rows.length) draw();
  };
}

// One after the other, so that a page of many figures can be read and scrolled while they appear.
async function drawAll() {
  const mine = ++turn;
  delete document.documentElement.dataset.ready;
  for (const draw of draws) {
    if (mine !== turn) return;
    draw();
    if (!usable) usable = performance.mark("usable"); // the page answers, and its first figure is there
    await pause();
  }
  document.documentElement.dataset.ready = "yes";
}

// ---- the filter ----

function filterBar() {
  const form = document.querySelector("form.filter");
  if (!form) return;
  const input = form.querySelector("input");
  const told = form.querySelector("output");
  const apply = () => {
    const terms = parseFilter(input.value);
    const wrong = complaint(boards, terms);
    input.setAttribute("aria-invalid", String(Boolean(wrong)));
    told.textContent = wrong;
    if (!wrong) filterRuns(terms, told);
  };
  let waiting = 0;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 200);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    apply();
  });
  form.querySelector("button").addEventListener("click", () => {
    input.value = "";
    apply();
    input.focus();
  });
  form.querySelector("select").replaceWith(valueChooser());
  form.hidden = false;
}

function valueChooser() {
  const seen = new Map();
  for (const board of boards) {
    for (const { name, values, sampled } of board.axes) if (!sampled) seen.set(name, new Set([...(seen.get(name) ?? []), ...values]));
  }
  const groups = [...seen].map(([name, values]) =>
    make("optgroup", { label: name }, ...[...values].slice(0, 100).map((value) => make("option", { value: term(name, value) }, `${name} = ${value}`)))
  );
  const status = boards[0].statuses.map((name) => make("option", { value: `status=${name}` }, `status = ${name}`));
  const choose = (event) => {
    addText(event.target.value);
    event.target.value = "";
  };
  return make(
    "select",
    { "aria-label": "Add a value to the filter", onchange: choose },
    make("option", { value: "" }, "Add…"),
    ...groups,
    make("optgroup", { label: "status" }, ...status)
  );
}

function addTerm(field, value) {
  addText(term(field, value));
}

function addText(text) {
  const input = document.querySelector("form.filter input");
  if (!text || input.value.split(/\s+(?=[\w.]+=)/).includes(text)) return;
  input.value = `${input.value.trim()} ${text}`.trim();
  input.form.requestSubmit();
}

function filterRuns(terms, told) {
  let [runs, all, rows] = [0, 0, 0];
  for (const board of boards) {
    board.kept = keptRuns(board, terms);
    board.rows = combinations(board, board.kept);
    runs += board.rows.reduce((total, row) => total + row.runs.length, 0);
    all += board.status.length;
    rows += board.rows.length;
  }
  told.textContent = terms.length ? `${runs.toLocaleString("en")} of ${counted(all, "run")}, ${counted(rows, "combination")}` : "";
  document.documentElement.classList.toggle("filtered", terms.length > 0);
  filterLists();
  return drawAll();
}

start().catch((error) => {
  const text = `This page's figures need a browser of 2023 or later (${error}). The tables are complete for the first combinations.`;
  document.querySelector("main").prepend(make("p", { class: "warn" }, text));
  throw error;
});
