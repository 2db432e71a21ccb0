// The filter: terms `field=value` that runs must satisfy; terms of one field are alternatives, words are looked for in labels.

const TERM = /([\w.]+)\s*(!=|<=|>=|=|<|>)\s*("[^"]*"|\S+)|"([^"]*)"|(\S+)/g;

function parseFilter(text) {
  return Array.from(text.matchAll(TERM), ([whole, field, operator, value, quoted, word]) =>
    field
      ? { field, operator, value: value.replace(/^"(.*)"$/, "$1"), whole }
      : { word: (quoted ?? word).toLowerCase(), whole }
  );
}

function term(field, value) {
  return `${field}=${/[\s"]/.test(value) || value === "" ? `"${value}"` : value}`;
}

// For a field of a board, each run's value: a label and a number, where there is one. null if it has no such field.
function valuesOf(board, field) {
  const axis = board.axes.find((one) => one.name === field);
  if (axis) return (run) => [axis.values[axis.labels[run]], axis.numbers ? axis.numbers[axis.labels[run]] : NaN];
  if (field in board.fixed) return () => [board.fixed[field], Number(board.fixed[field])];
  if (field === "status") return (run) => [board.statusName(run), NaN];
  if (field === "run_id") return (run) => [board.run_id[run], NaN];
  const numbers = { seed: board.seed, epochs_done: board.epochs, best_epoch: board.best_epoch, ...board.metrics }[field];
  return numbers ? (run) => numeric(numbers[run]) : null;
}

function numeric(number) {
  return [Number.isFinite(number) ? String(number) : "", number];
}

const COMPARE = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };

function satisfies([label, number], { operator, value }) {
  if (operator in COMPARE) return COMPARE[operator](number, Number(value));
  const same = (text) => label === text || (text !== "" && Number(text) === number);
  const found = same(value) || (value.includes(",") && value.split(",").some(same));
  return operator === "!=" ? !found : found;
}

// Which runs of a board a filter keeps; null keeps all.
function keptRuns(board, terms) {
  if (!terms.length) return null;
  const kept = new Uint8Array(board.status.length).fill(1);
  const fields = new Map();
  for (const one of terms) {
    const alternatives = one.operator === "=" ? `=${one.field}` : one; // of a field, any; of anything else, each
    fields.set(alternatives, [...(fields.get(alternatives) ?? []), one]);
  }
  for (const group of fields.values()) {
    const test = group[0].word === undefined ? fieldTest(board, group) : wordTest(board, group[0].word);
    for (let run = 0; run < kept.length; run++) if (kept[run] && !test(run)) kept[run] = 0;
  }
  return kept;
}

function fieldTest(board, group) {
  const read = valuesOf(board, group[0].field);
  return read ? (run) => group.some((one) => satisfies(read(run), one)) : () => false;
}

function wordTest(board, word) {
  const known = board.axes.map((axis) => axis.values.map((value) => value.toLowerCase().includes(word)));
  return (run) =>
    known.some((found, at) => found[board.axes[at].labels[run]]) || board.run_id[run].toLowerCase().startsWith(word);
}

// What is wrong with a filter, in a sentence; empty if nothing is.
function complaint(boards, terms) {
  for (const { field, operator, value, whole } of terms) {
    if (field && boards.every((board) => !valuesOf(board, field))) {
      return `No field ${field}. Fields: ${filterFields(boards).join(", ")}.`;
    }
    if (operator in COMPARE && !Number.isFinite(Number(value))) return `${whole}: ${value} is not a number.`;
  }
  return "";
}

function filterFields(boards) {
  const axes = boards.flatMap((board) => board.axes.map((axis) => axis.name));
  const metrics = boards.flatMap((board) => Object.keys(board.metrics));
  return [...new Set([...axes, "seed", "status", "run_id", ...metrics])];
}
