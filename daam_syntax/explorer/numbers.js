// The numbers of the page: upscaling, masks and overlap, with the formulas of daam_syntax.maps.
// Independent of the page, to be tested against Python in any JavaScript engine.
"use strict";

/** Decode base64 into little-endian 32-bit floats. */
function decodeFloats(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** The cubic convolution kernel of Keys with a = -0.75, at distance d (0 to 2). */
function keys(d) {
  const a = -0.75;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/** Return the four source positions, with their weights, for each position of a resized axis. */
function kernelTaps(nIn, nOut) {
  const sources = new Int32Array(4 * nOut);
  const weights = new Float32Array(4 * nOut);
  for (let i = 0; i < nOut; i++) {
    const center = ((i + 0.5) * nIn) / nOut - 0.5;
    for (let tap = 0; tap < 4; tap++) {
      const source = Math.floor(center) - 1 + tap;
      sources[4 * i + tap] = Math.min(Math.max(source, 0), nIn - 1);
      weights[4 * i + tap] = nIn === nOut ? Number(tap === 1) : keys(Math.abs(center - source));
    }
  }
  return { sources, weights };
}

/** Resize a map from [rows, columns] to [height, width]: cubic convolution, repeated borders, clamped at 0. */
function upscale(map, [rows, columns], [height, width]) {
  const across = kernelTaps(columns, width);
  const wide = new Float32Array(rows * width);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let tap = 4 * x; tap < 4 * x + 4; tap++) {
        sum += across.weights[tap] * map[y * columns + across.sources[tap]];
      }
      wide[y * width + x] = sum;
    }
  }
  const down = kernelTaps(rows, height);
  const result = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let tap = 4 * y; tap < 4 * y + 4; tap++) {
        sum += down.weights[tap] * wide[down.sources[tap] * width + x];
      }
      result[y * width + x] = Math.max(sum, 0);
    }
  }
  return result;
}

/** Return the smallest and largest value of a map. */
function range(map) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of map) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

/** Return the threshold of Otsu (1979), which maximizes the variance between two classes. */
function otsu(map) {
  const values = Float64Array.from(map).sort();
  const n = values.length;
  let whole = 0;
  for (const value of values) whole += value;
  let best = -1;
  let place = 0;
  let sum = 0;
  for (let i = 0; i < n - 1; i++) {
    sum += values[i];
    const below = i + 1;
    const difference = (whole - sum) / (n - below) - sum / below;
    const between = values[i + 1] > values[i] ? below * (n - below) * difference ** 2 : -1;
    if (between > best) {
      best = between;
      place = i;
    }
  }
  return values[place];
}

/** The threshold rules: each returns the threshold of a map with a known range, as a 32-bit float. */
const THRESHOLDS = {
  relative: (map, value, { high }) => Math.fround(value * high),
  absolute: (map, value) => Math.fround(value),
  minmax: (map, value, { low, high }) => Math.fround(low + Math.fround(value * Math.fround(high - low))),
  quantile: (map, value) => {
    const sorted = Float32Array.from(map).sort();
    return sorted[Math.max(0, Math.ceil(value * sorted.length) - 1)];
  },
  otsu,
};
const PATTERN_RULES = new Set(["minmax", "quantile", "otsu"]);

/** Return a mask: 1 where a map is strictly above its threshold, else 0. Pattern rules mask nothing in a constant map. */
function makeMask(map, rule, value, extent = range(map)) {
  const mask = new Uint8Array(map.length);
  if (PATTERN_RULES.has(rule) && extent.high - extent.low <= 1e-6 * Math.abs(extent.high)) return mask;
  const threshold = THRESHOLDS[rule](map, value, extent);
  for (let i = 0; i < map.length; i++) mask[i] = Number(map[i] > threshold);
  return mask;
}

/** Count the pixels that two masks share, four bytes (one per pixel) at a time. */
function countShared(first, second) {
  const whole = first.length >> 2;
  const [a, b] = [first, second].map((mask) => new Uint32Array(mask.buffer, mask.byteOffset, whole));
  let count = 0;
  for (let i = 0; i < whole; i++) count += Math.imul(a[i] & b[i], 0x01010101) >>> 24;
  for (let i = 4 * whole; i < first.length; i++) count += first[i] & second[i];
  return count;
}

/** Count the pixels of a mask. */
const area = (mask) => countShared(mask, mask);

/** Return the overlap of two masks; NaN if either is empty (phi, also if either is full). Known areas can be passed. */
function overlap(head, dependent, headArea = area(head), dependentArea = area(dependent)) {
  const shared = countShared(head, dependent);
  if (headArea === 0 || dependentArea === 0) return { iou: NaN, iod: NaN, ioh: NaN, phi: NaN, lift: NaN };
  const n = head.length;
  const spread = Math.sqrt(headArea * (n - headArea)) * Math.sqrt(dependentArea * (n - dependentArea));
  return {
    iou: shared / (headArea + dependentArea - shared),
    iod: shared / dependentArea,
    ioh: shared / headArea,
    phi: spread > 0 ? (n * shared - headArea * dependentArea) / spread : NaN,
    lift: (shared * n) / (headArea * dependentArea),
  };
}
