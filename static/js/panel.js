// One metric of a run as a live line chart: loaded when scrolled to, appended to as points come, read again when zoomed.

import { clipped, outside, told, undrawn } from "./clipping.js";
import { join, leave } from "./cursor.js";
import { CONFIG, lineLayout, logTicks, resolve } from "./figure.js";
import { plotly } from "./plotly.js";
import { fetchSeries } from "./series.js";
import { smooth } from "./smoothing.js";
import { inTurn } from "./turns.js";
import { zoomByKeys } from "./zooming.js";

const POINTS_PER_PIXEL = 2; // the lowest and the highest of what falls on it
const FEW_POINTS = 60; // up to so many are drawn with markers
const TOO_MANY_TIMES = 4; // more than this many times the wanted points: let the server decimate again
const REREAD_MS = 2000; // an axis that can't be appended to is read again at most this often
const UTC_OFFSET_S = new Date().getTimezoneOffset() * 60;
const APPENDED = ["step", "time", "relative"]; // axes on which the place of a new point is known here
const GROWING = ["tokens", "flops"]; // axes that only grow: what is new begins at the last x
const TITLES = { step: "step", time: "time of day", relative: "seconds since the start", tokens: "tokens", flops: "FLOPs" };

export class Panel {
  // `run`: { api, startedAt, marks: [{step, time, kind, label}] }; `settings`: see settings.js.
  constructor(element, run, settings) {
    Object.assign(this, { element, run, settings });
    this.name = element.dataset.metric;
    this.baseline = element.dataset.baseline === undefined ? null : Number(element.dataset.baseline);
    this.plot = element.querySelector(".plot");
    this.caption = element.querySelector("[data-caption]");
    this.colour = element.dataset.colour ?? "--series-1";
    this.waiting = [];
    this.every = false;
    this.mark();
  }

  get isLog() {
    return this.settings.logY !== this.settings.log.includes(this.name);
  }

  // How its own settings show on it.
  mark() {
    const press = (act, isOn) => this.element.querySelector(`[data-act="${act}"]`)?.setAttribute("aria-pressed", String(isOn));
    this.element.classList.toggle("wide", this.settings.wide.includes(this.name));
    press("wide", this.settings.wide.includes(this.name));
    press("log", this.isLog);
    press("pin", this.settings.pin.includes(this.name));
    press("every", this.every);
  }

  get axis() {
    return this.settings.x;
  }

  // Reads the series when the chart is first seen; catches up with drawing when it is seen again.
  setSeen(isSeen) {
    this.isSeen = isSeen;
    if (!isSeen) return;
    if (this.isStale) this.draw();
    if (this.isAsked) return;
    this.isAsked = true;
    this.load();
  }

  async load(range = null) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const isLatest = () => turn === this.turn; // an answer that a later question has overtaken is dropped
    this.loading = true;
    this.range = range;
    const points = Math.max(300, Math.round(POINTS_PER_PIXEL * this.plot.clientWidth));
    try {
      const series = await fetchSeries(this.run.api, this.name, { x: this.axis, points, every: this.every, ...range });
      if (isLatest()) this.show(series, points);
    } catch (error) {
      if (isLatest()) this.fail(error);
    }
  }

  show(series, points) {
    this.loading = false;
    this.wanted = points;
    this.series = series;
    this.element.classList.remove("panel-failed");
    for (const batch of this.waiting.splice(0)) this.append(batch);
    this.draw();
  }

  fail(error) {
    this.loading = false;
    this.element.classList.add("panel-failed");
    this.caption.textContent = error.message;
  }

  // `batch`: { steps, values, times } in order.
  append(batch) {
    if (this.loading) this.waiting.push(batch);
    if (this.loading || !this.series) return;
    if (this.range) return; // a zoomed window stays as it is
    if (!APPENDED.includes(this.axis)) this.rereadSoon();
    else if (this.series.append(batch.steps, batch.values, batch.times, this.run.startedAt)) this.grow();
  }

  grow() {
    if (!this.every && this.series.x.length > TOO_MANY_TIMES * this.wanted) this.rereadSoon(true);
    this.draw();
  }

  // Reads what is new where x only grows; only the new points travel.
  async extend() {
    const turn = this.turn;
    const window = await fetchSeries(this.run.api, this.name, { x: this.axis, points: 20000, from: this.series.last }).catch(() => null);
    if (!window || turn !== this.turn || this.loading || this.range) return; // read again meanwhile, or later
    this.series.extend(window);
    this.grow();
  }

  rewind(step) {
    this.waiting = this.waiting.filter((batch) => batch.steps[0] <= step);
    if (this.loading || (this.series && this.axis !== "step")) return void this.load(this.range);
    if (!this.series) return;
    this.series.rewind(step);
    this.draw();
  }

  rereadSoon(isWhole = false) {
    this.isWhole ||= isWhole || !GROWING.includes(this.axis);
    this.timer ??= setTimeout(() => {
      const whole = this.isWhole;
      this.timer = this.isWhole = undefined;
      if (whole) this.load(this.range);
      else this.extend();
    }, REREAD_MS);
  }

  // Draws when it is its turn, however often it was asked.
  async draw() {
    this.isStale = !this.isSeen;
    if (this.isWaiting || this.isStale || !this.series) return;
    this.isWaiting = true;
    const Plotly = await plotly().catch((error) => this.fail(error));
    if (Plotly) inTurn(() => this.paint(Plotly));
  }

  async paint(Plotly) {
    this.isWaiting = false;
    if (!this.element.isConnected) return;
    await Plotly.react(this.plot, this.traces(), this.layout(), CONFIG);
    if (!this.listening) this.listen();
    this.describe();
  }

  leave() {
    leave(this);
    if (this.plot.data) plotly().then((Plotly) => Plotly.purge(this.plot));
  }

  // x as Plotly wants it: local milliseconds on a time axis.
  positions() {
    return this.axis === "time" ? this.series.x.map((seconds) => (seconds - UTC_OFFSET_S) * 1000) : this.series.x;
  }

  traces() {
    const { y } = this.series;
    const x = this.positions();
    const few = this.series.count <= FEW_POINTS && !this.series.decimated;
    const smoothed = !few && this.settings.smoothing > 0;
    const line = { x, type: "scatter", mode: few ? "lines+markers" : "lines", name: this.name, hovertemplate: "%{y:.5g}<extra></extra>" };
    const solid = { line: { color: this.colour, width: 1.8 }, marker: { size: 5, color: this.colour } };
    if (!smoothed) return resolve([{ ...line, y, ...solid }]);
    const faint = { ...line, y, line: { color: `${this.colour}/0.3`, width: 1 }, hoverinfo: "skip", hovertemplate: undefined };
    return resolve([faint, { ...line, y: smooth(this.series.x, y, this.settings.smoothing), ...solid }]);
  }

  layout() {
    const figure = lineLayout({
      x: TITLES[this.axis] ?? plain(this.axis.slice("metric:".length)),
      logX: this.settings.logX && this.axis !== "time",
      logY: this.isLog,
      date: this.axis === "time",
      shapes: [...this.markShapes(), ...this.baselineShape()],
    });
    if (this.isLog) Object.assign(figure.yaxis, logTicks(this.series.y));
    figure.yaxis.automargin = true; // room for long labels, such as -1.5e135
    if (this.settings.clip) this.clip(figure.yaxis);
    figure.datarevision = this.revision = (this.revision ?? 0) + 1; // points are appended in place: Plotly must look again
    figure.uirevision = `${this.axis} ${this.settings.logX}`; // keeps the zoom while points come in
    return resolve(figure);
  }

  clip(axis) {
    const limits = clipped([this.series.y], this.isLog);
    this.outside = outside([this.series.y], limits, this.isLog);
    Object.assign(axis, limits);
  }

  // Resumes and phases are dotted verticals where the axis has a place for them.
  markShapes() {
    const at = { step: (mark) => mark.step, time: (mark) => (mark.time - UTC_OFFSET_S) * 1000, relative: (mark) => mark.time - this.run.startedAt }[this.axis];
    if (!at) return [];
    const colour = (mark) => (mark.kind === "resumed" ? "--wait" : "--ink-3");
    return this.run.marks.map((mark) => ({
      type: "line", xref: "x", yref: "paper", x0: at(mark), x1: at(mark), y0: 0, y1: 1,
      line: { color: colour(mark), width: 1, dash: "dot" },
      label: { text: mark.label, textposition: "end", textangle: 0, xanchor: "right", yanchor: "top", font: { size: 9, color: colour(mark) } },
    }));
  }

  baselineShape() {
    if (this.baseline === null || !Number.isFinite(this.baseline)) return [];
    return [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: this.baseline, y1: this.baseline, line: { color: "--ink-3", width: 1, dash: "dash" } }];
  }

  describe() {
    const parts = [];
    if (this.settings.smoothing > 0 && this.series.count > FEW_POINTS) parts.push(`smoothing ${this.settings.smoothing}`);
    if (this.baseline !== null) parts.push("baseline dashed");
    parts.push(`${this.series.count.toLocaleString("en")} point${this.series.count === 1 ? "" : "s"}${this.every ? ", all drawn" : ""}`);
    if (this.settings.clip) parts.push(told(this.outside));
    parts.push(...[undrawn([this.series.y], this.isLog)].filter(Boolean));
    if (this.range) parts.push("zoomed · double-click or 0 goes back");
    this.caption.textContent = parts.join(" · ");
  }

  listen() {
    this.listening = true;
    join(this);
    const all = { "xaxis.autorange": true, "yaxis.autorange": true };
    zoomByKeys(this.plot, this.name, async () => (await plotly()).relayout(this.plot, all));
    this.plot.on("plotly_relayout", (change) => {
      if (change["xaxis.autorange"]) this.load();
      else if (change["xaxis.range[0]"] !== undefined) this.zoom(change["xaxis.range[0]"], change["xaxis.range[1]"]);
    });
  }

  // What the page's cursor shows here when it is on another chart.
  readout(x) {
    const y = this.series?.at(this.axis === "time" ? x / 1000 + UTC_OFFSET_S : this.settings.logX ? 10 ** x : x);
    return y === undefined ? "" : Number(y).toPrecision(5);
  }

  // A zoomed window is read again, finer.
  zoom(low, high) {
    const unit = (value) => {
      if (this.axis === "time") return new Date(`${value}Z`.replace(" ", "T")).getTime() / 1000 + UTC_OFFSET_S;
      return this.settings.logX ? 10 ** value : Number(value);
    };
    const whole = this.axis === "step" || this.axis === "tokens";
    this.load({ from: whole ? Math.floor(unit(low)) : unit(low), to: whole ? Math.ceil(unit(high)) : unit(high) });
  }
}

// Plotly takes tags in text for markup.
function plain(text) {
  return text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);
}
