// The points of one metric as the page holds them, and where they come from.

const SAME_S = 1e-6; // two times closer than this are one point
export const number = (value) => (typeof value === "string" ? Number(value) : value); // "NaN", "Infinity", "-Infinity"

// A window of a series, decimated by the server to about `points`; `from` and `to` are in units of the x axis.
export async function fetchSeries(api, name, { x, points, from, to }) {
  const query = new URLSearchParams({ name, x, points });
  if (from !== undefined) query.set("from", from);
  if (to !== undefined) query.set("to", to);
  const answer = await fetch(`${api}/series?${query}`, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${name} could not be read (${answer.status}).`);
  const window = await answer.json();
  return new Series({ ...window, x: window.x.map(number), y: window.y.map(number) }, x);
}

export class Series {
  constructor({ x, y, count, decimated }, axis) {
    Object.assign(this, { x, y, count, decimated, axis });
  }

  get last() {
    return this.x.length ? this.x[this.x.length - 1] : -Infinity;
  }

  // Appends points that lie beyond the last one and drops those seen before; returns how many were new.
  // Steps are whole numbers, times are seconds since the epoch; `startedAt` is the zero of relative time.
  append(steps, values, times, startedAt) {
    const before = this.x.length;
    const position = { step: (i) => steps[i], time: (i) => times[i], relative: (i) => times[i] - startedAt }[this.axis];
    const least = this.axis === "step" ? 0 : SAME_S;
    values.forEach((value, i) => {
      if (position(i) <= this.last + least) return;
      this.x.push(position(i));
      this.y.push(number(value));
    });
    this.count += this.x.length - before;
    return this.x.length - before;
  }

  // Drops the points after a step: the run went back to its checkpoint. Only where x is the step.
  rewind(step) {
    let length = this.x.length;
    while (length && this.x[length - 1] > step) length--;
    this.count -= this.x.length - length;
    this.x.length = this.y.length = length;
  }
}
