// The page's data: a description in JSON and columns of numbers, compressed (lanes/reporting/columns.py).

async function readData(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const size = new DataView(buffer).getUint32(0, true);
  const described = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  return withColumns(described, buffer, 4 + size);
}

function withColumns(value, buffer, start) {
  if (Array.isArray(value)) {
    // lists of texts may be long, and hold no columns
    return typeof value[0] === "object" ? value.map((item) => withColumns(item, buffer, start)) : value;
  }
  if (value === null || typeof value !== "object") return value;
  if ("kind" in value && "at" in value && "length" in value) return column(value, buffer, start);
  const entries = Object.entries(value).map(([key, item]) => [key, withColumns(item, buffer, start)]);
  return Object.fromEntries(entries);
}

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };

function column({ kind, at, length }, buffer, start) {
  const out = new ARRAYS[kind](length);
  const width = out.BYTES_PER_ELEMENT;
  const from = new Uint8Array(buffer, start + at, length * width);
  const to = new Uint8Array(out.buffer);
  for (let byte = 0; byte < width; byte++) {
    for (let i = 0; i < length; i++) to[i * width + byte] = from[byte * length + i];
  }
  return out;
}

// The runs of each combination, and where each run's points of the learning curves begin.
function prepare(board) {
  const count = board.status.length;
  board.members = [];
  for (let run = 0; run < count; run++) (board.members[board.combination[run]] ??= []).push(run);
  board.starts = new Uint32Array(count + 1);
  for (let run = 0; run < count; run++) board.starts[run + 1] = board.starts[run] + (board.curves.points[run] ?? 0);
  board.label = (run, axis) => board.axes[axis].values[board.axes[axis].labels[run]];
  return board;
}
