// The points of one metric as the page holds them, and where they come from.

const SAME_S = 1e-6; // two times closer than this are one point
export const number = (value) => (typeof value === "string" ? Number(value) : value); // "NaN", "Infinity", "-Infinity"

// A window of a series, decimated by the server to about `points`; `from` and `to` are in units of the x axis.
// With `every` all of its points come, or an error that says how many there are.
export async function fetchSeries(api, name, { x, points, from, to, every }) {
  const query = new URLSearchParams({ name, x, points });
  if (every) query.set("every", "true");
  if (from !== undefined) query.set("from", from);
  if (to !== undefined) query.set("to", to);
  const answer = await fetch(`${api}/series?${query}`, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(await reason(answer, name));
  const window = await answer.json();
  return new Series({ ...window, x: window.x.map(number), y: window.y.map(number) }, x);
}

async function reason(answer, name) {
  const told = answer.status === 422 && (await answer.json().catch(() => null));
  return told?.errors?.[0]?.msg ?? `${name} could not be read (${answer.status}).`;
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

  // Puts a window that begins at the last x in the place of what is there from then on.
  extend(window) {
    const before = this.x.length, last = this.last;
    while (this.last >= last && this.x.length) { this.x.pop(); this.y.pop(); }
    this.count += window.count - (before - this.x.length);
    for (let i = 0; i < window.x.length; i++) { this.x.push(window.x[i]); this.y.push(window.y[i]); }
  }

  // The value at the last point at or before x; undefined before the first.
  at(x) {
    let low = 0, high = this.x.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.x[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return this.y[low - 1];
  }

  // Drops the points after a step: the run went back to its checkpoint. Only where x is the step.
  rewind(step) {
    let length = this.x.length;
    while (length && this.x[length - 1] > step) length--;
    this.count -= this.x.length - length;
    this.x.length = this.y.length = length;
  }
}
