// Scales from values to pixels, with their ticks.

const LOG_RATIO = 30; // positive values with a larger ratio are drawn on a log axis

function spans(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low > 0 && high / low > LOG_RATIO && Number.isFinite(high);
}

// A scale for an axis of a figure and the values on it; `pixels` are its two ends.
function scaleOf(axis, values, pixels) {
  if (axis.type === "category") return categoryScale(axis, values, pixels);
  let numbers = values.filter(Number.isFinite);
  if (axis.type === "log") numbers = numbers.filter((value) => value > 0);
  const [low, high] = axis.range ?? padded(numbers, axis.type === "log");
  return axis.type === "log" ? logScale(low, high, pixels) : linearScale(low, high, pixels, axis);
}

function padded(numbers, log) {
  if (!numbers.length) return log ? [1, 10] : [0, 1];
  let low = Infinity;
  let high = -Infinity;
  for (const value of numbers) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (log) {
    const room = (high / low) ** 0.05 || 1;
    return low === high ? [low / 2, high * 2] : [low / room, high * room];
  }
  const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 0.5;
  return [low - room, high + room];
}

function linearScale(low, high, [from, to], axis = {}) {
  const place = (value) => from + ((value - low) / (high - low)) * (to - from);
  const given = axis.tickvals;
  const count = Math.max(Math.min(Math.floor(Math.abs(to - from) / (axis.horizontal ? 70 : 38)), 8), 2);
  let ticks = given ?? niceTicks(low, high, count);
  for (let finer = 2; !given && ticks.length < 2 && finer < 16; finer *= 2) ticks = niceTicks(low, high, count * finer);
  if (axis.integer) ticks = ticks.filter(Number.isInteger);
  const texts = axis.ticktext ?? (axis.tickformat === ".0%" ? ticks.map((value) => `${general(value * 100, 6)}%`) : tickTexts(ticks));
  return { place, ticks: ticks.map((value, at) => ({ value, text: texts[at] })), low, high };
}

function niceTicks(low, high, count) {
  const rough = (high - low) / count;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => (first + at) * step);
}

function tickTexts(ticks) {
  for (let digits = 3; digits < 15; digits++) {
    const texts = ticks.map((value) => general(Math.abs(value) < 1e-12 * Math.abs(ticks.at(-1)) ? 0 : value, digits));
    const exact = ticks.every((value, at) => Math.abs(Number(texts[at]) - value) <= 1e-3 * Math.abs((ticks[1] ?? value) - ticks[0]));
    if (exact || digits === 14) return texts;
  }
  return [];
}

function logScale(low, high, [from, to]) {
  const start = Math.log10(low);
  const place = (value) => from + ((Math.log10(value) - start) / (Math.log10(high) - start)) * (to - from);
  const [first, last] = [Math.floor(start), Math.ceil(Math.log10(high))];
  const many = last - first > 3;
  const every = Math.max(Math.ceil((last - first) / 8), 1);
  const ticks = [];
  for (let power = first; power <= last; power++) {
    for (const step of many ? [1] : [1, 2, 5]) {
      const value = step * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001 && (!many || power % every === 0)) ticks.push(value);
    }
  }
  return { place, ticks: ticks.map((value) => ({ value, text: general(value, 6) })), low, high };
}

function categoryScale(axis, values, [from, to]) {
  const names = axis.categoryarray ?? [...new Set(values)];
  const at = new Map(names.map((name, index) => [name, index]));
  const step = (to - from) / Math.max(names.length, 1);
  const ordered = axis.autorange === "reversed" ? (index) => names.length - 1 - index : (index) => index;
  const place = (name) => (at.has(name) ? from + (ordered(at.get(name)) + 0.5) * step : NaN);
  return { place, ticks: names.map((name) => ({ value: name, text: String(name) })), step: Math.abs(step), category: true };
}
