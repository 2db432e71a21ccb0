// Means with Student's 95% intervals over seeds, and numbers as text: as lanes/results/intervals.py computes and writes them.

const RESOLUTION = 1e-6; // values that differ by less, relative to their size, are equal

// `size` is that of the values which these are differences of.
function interval(values, quantiles, size = 0) {
  const finite = values.filter(Number.isFinite);
  const n = finite.length;
  if (!n) return { mean: NaN, half: NaN, n };
  const mean = sum(finite) / n;
  if (n < 2) return { mean, half: NaN, n };
  let deviation = Math.sqrt(sum(finite.map((value) => (value - mean) ** 2)) / (n - 1));
  if (deviation <= RESOLUTION * Math.max(size, ...finite.map(Math.abs))) deviation = 0;
  return { mean, half: (quantiles[n - 2] * deviation) / Math.sqrt(n), n };
}

function sum(values) {
  let total = 0;
  let lost = 0; // what rounding dropped (Neumaier)
  for (const value of values) {
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + lost;
}

function median(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (!sorted.length) return NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Halves to even, as NumPy and Python round.
function roundEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 ? floor + 1 : floor;
}

function fixed(value, digits) {
  const scaled = value * 10 ** digits;
  const isHalf = Math.abs(scaled) < 2 ** 52 && scaled - Math.floor(scaled) === 0.5 && scaled / 10 ** digits === value;
  // 0.0625, but not 0.15, which is a little less than it says
  return (isHalf && value * 2 ** 30 === Math.floor(value * 2 ** 30) ? roundEven(scaled) / 10 ** digits : value).toFixed(digits);
}

// Significant digits without trailing zeros, `1.23e+06` beyond: Python's format "g".
function general(value, digits) {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < digits) return trimmed(value.toFixed(Math.max(digits - 1 - power, 0)));
  const size = String(Math.abs(power)).padStart(2, "0");
  return `${trimmed(mantissa)}e${power < 0 ? "-" : "+"}${size}`;
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function intervalText({ mean, half, n }, digits, proportion = false) {
  if (!Number.isFinite(mean)) return "–";
  const large = Math.abs(mean) >= 1e6 || (Number.isFinite(half) && half >= 1e6);
  const write = (value) => (large ? general(value, 3) : fixed(value, digits));
  if (n > 1 && half === 0) return `${write(mean)} (${n} equal)`;
  if (!(half > 0)) return write(mean);
  if (proportion && (mean - half < 0 || mean + half > 1)) {
    const end = (value) => (value === 0 || value === 1 ? String(value) : write(value));
    return `${write(mean)} (${end(Math.max(mean - half, 0))} to ${end(Math.min(mean + half, 1))})`;
  }
  return `${write(mean)} ± ${write(half)}`;
}

// Decimals for a column: two significant digits of the median interval, four of the mean without one; at most 6.
function decimals(halves, means) {
  const places = (values, digits) => Math.min(Math.max(digits - 1 - Math.floor(Math.log10(median(values))), 0), 6);
  const widths = halves.filter((value) => value > 0);
  if (widths.length) return places(widths, 2);
  const sizes = means.map(Math.abs).filter((value) => value > 0);
  return sizes.length ? places(sizes, 4) : 4;
}

function ends({ mean, half }, proportion) {
  if (!(half > 0)) return [mean, mean];
  return proportion ? [Math.max(mean - half, 0), Math.min(mean + half, 1)] : [mean - half, mean + half];
}

function words(metric) {
  return metric.replace("valid_", "validation_").replaceAll("_", " ");
}

function counted(number, one, several = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : several}`;
}
