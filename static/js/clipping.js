// The range of y that holds nearly all values and leaves out what lies far from them.

const SHARE = 0.01; // of the values on either side that may be left out
const MARGIN = 0.5; // of the range of the others: what is no farther away is shown

// How many of the values that are drawn lie outside.
export function outside(lists, { range }, isLog) {
  if (!range) return 0;
  let count = 0;
  for (const list of lists) for (const y of list) {
    const at = isLog ? Math.log10(y) : y;
    if (Number.isFinite(at) && (at < range[0] || at > range[1])) count++;
  }
  return count;
}

// `outside` in the words of a caption.
export function told(count) {
  return count ? `${count.toLocaleString("en")} point${count === 1 ? "" : "s"} outside, clipped` : "nothing to clip";
}

// In the words of a caption: what of the values can't be drawn; "" where all can.
export function undrawn(lists, isLog) {
  let count = 0, drawn = 0, negative = 0;
  for (const list of lists) for (const y of list) {
    if (y === null) continue;
    count++;
    if (!Number.isFinite(y)) continue;
    if (isLog && y <= 0) negative++;
    else drawn++;
  }
  if (count === drawn) return "";
  const kinds = [...(negative ? ["0 or less"] : []), ...(count - drawn > negative ? ["NaN or infinite"] : [])].join(" and ");
  return drawn ? `gaps where it is ${kinds}` : `nothing to draw: every value is ${kinds.replace(" and ", " or ")}`;
}

// `lists`: the y of each line. The settings of a Plotly axis; {} where nothing lies far away.
export function clipped(lists, isLog) {
  const values = [];
  for (const list of lists) for (const y of list) if (Number.isFinite(y) && (!isLog || y > 0)) values.push(isLog ? Math.log10(y) : y);
  if (values.length < 3) return {};
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high] = [at(SHARE), at(1 - SHARE)];
  const margin = MARGIN * (high - low);
  const range = [Math.max(sorted[0], low - margin), Math.min(sorted[sorted.length - 1], high + margin)];
  if (!(range[0] < range[1]) || (range[0] === sorted[0] && range[1] === sorted[sorted.length - 1])) return {};
  const air = 0.05 * (range[1] - range[0]);
  return { range: [range[0] - air, range[1] + air], autorange: false };
}
