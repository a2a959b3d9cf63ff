// Exponential moving average, bias-corrected and weighted by the distance between points, so that a decimated and a full
// series of the same run look the same. `weight` in [0, 1) is what is kept over a 120th of the shown range (or from one
// point to the next where there are fewer).

const STRETCHES = 120;

// x, y: arrays of one length, x ascending; points that are not finite stay gaps. Returns an array of that length.
export function smooth(x, y, weight) {
  if (weight <= 0 || y.length < 3) return y;
  const scale = Math.min(y.length, STRETCHES) / (x[x.length - 1] - x[0] || 1);
  const out = new Array(y.length);
  let mean = 0, norm = 0, before = x[0];
  for (let i = 0; i < y.length; i++) {
    if (!Number.isFinite(y[i])) { out[i] = NaN; continue; }
    const kept = weight ** Math.max((x[i] - before) * scale, i ? 1e-9 : 1);
    mean = kept * mean + (1 - kept) * y[i];
    norm = kept * norm + (1 - kept);
    before = x[i];
    out[i] = norm > 0 ? mean / norm : y[i];
  }
  return out;
}
