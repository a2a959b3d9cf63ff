// The page of curves: one chart for each metric, with a line for each run or a band for each group of runs. Zooming reads the
// finer window, in all charts, and is kept in the address; pointing at a line names it, and pressing it opens its run, or the
// members of its group. While runs go on, what is new of them is read now and then.

import { nearest, paint, placer } from "./canvas.js";
import { whenSeen } from "./charts.js";
import { clipped, outside, told, undrawn } from "./clipping.js";
import { join, show, hide } from "./cursor.js";
import { setPicture } from "./download.js";
import { colour, CONFIG, lineLayout, logTicks, onThemeChange, resolve } from "./figure.js";
import { plotly } from "./plotly.js";
import { smooth } from "./smoothing.js";
import { zoomByKeys } from "./zooming.js";

const COLOURS = 8;
const MANY = 12; // more lines than this are drawn thin
const LIVE_MS = 3000;
const ENDS = ["from", "to"]; // of the window that is shown, in the address
const FIRST = -1e300; // x before all others
const TOO_MANY_TIMES = 4; // more than this many times the points read at first: let the server decimate again
const UTC_OFFSET_S = new Date().getTimezoneOffset() * 60;
// The place in the legend by run: it gives each line its colour, the same in every chart.
const places = new Map([...document.querySelectorAll("[data-line]")].flatMap(({ dataset }) => dataset.runs.split(" ").map((run) => [Number(run), Number(dataset.line)])));
const form = document.getElementById("curves-form");

// Drawn at once, and written into the address; whatever else is asked makes a new page.
function settings() {
  const { smoothing, log_x: logX, log_y: logY, clip } = form.elements;
  return { smoothing: Number(smoothing.value), logX: logX.checked, logY: logY.checked, clip: clip.checked };
}

class Curves {
  constructor(element) {
    this.element = element;
    this.plot = element.querySelector(".plot");
    this.caption = element.querySelector("[data-caption]");
    this.hidden = new Set();
    setPicture(this.plot, () => this.picture());
  }

  // The first reading is the one that the page's head has asked for already.
  begin() {
    const url = new URL(this.element.dataset.curves, location.href);
    const range = Object.fromEntries([...url.searchParams].filter(([name]) => ENDS.includes(name)));
    return this.read(url, Object.keys(range).length ? range : null);
  }

  load(range = null) {
    const url = this.address();
    for (const [name, value] of Object.entries(range ?? {})) url.searchParams.set(name, value);
    return this.read(url, range);
  }

  address() {
    const url = new URL(this.element.dataset.curves, location.href);
    ENDS.forEach((end) => url.searchParams.delete(end));
    url.searchParams.set("points", Math.max(300, 2 * this.plot.clientWidth));
    return url;
  }

  async read(url, range) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const answer = await fetch(url);
    const found = await answer.json().catch(() => ({}));
    if (turn !== this.turn) return;
    if (!answer.ok) return void (this.caption.textContent = found.detail ?? `The curves could not be read (${answer.status}).`);
    this.range = range;
    this.told = found;
    this.lines = found.lines.map((line, place) => unpacked(line, place, found));
    this.held = this.points();
    await this.draw();
  }

  points() {
    return this.lines.reduce((sum, line) => sum + line.x.length, 0);
  }

  // ---- while runs go on

  // Reads what is new of the runs that are not over: of single runs over an x that grows only the new points travel; a band
  // changes as a whole, and so does a path over another metric.
  async refresh() {
    if (!this.lines || this.range) return; // a zoomed window stays as it is
    const growing = !this.told.x_axis.startsWith("metric:") && !this.lines.some((line) => line.lower);
    if (!growing || this.points() > TOO_MANY_TIMES * this.held) return this.load();
    const known = new Map(this.lines.map((line) => [line.runs[0], line]));
    const url = this.address(), turn = this.turn;
    url.searchParams.set("since", this.told.live.map((run) => `${run}:${known.get(run)?.last ?? FIRST}`).join(","));
    const answer = await fetch(url).catch(() => null);
    if (!answer?.ok || turn !== this.turn) return;
    const found = await answer.json();
    if (found.lines.some((line) => !line.count)) return this.load(); // its end is gone: the run went back to a checkpoint
    this.told.live = found.live;
    const news = found.lines.filter((line) => line.count > 1 || !known.has(line.runs[0])).map((line, place) => unpacked(line, place, found));
    for (const line of news) if (known.has(line.runs[0])) extend(known.get(line.runs[0]), line);
    this.lines.push(...news.filter((line) => !known.has(line.runs[0])));
    if (news.length) await this.draw();
    else this.describe();
  }

  get isLive() {
    return this.told?.live.length > 0;
  }

  // ---- drawing

  // Plotly draws the axes around two points that nobody sees, the corners of what is shown; the lines are painted.
  async draw() {
    const Plotly = await plotly();
    this.settings = settings();
    const layout = lineLayout({ x: this.told.x_title, logX: this.settings.logX && this.told.x_axis !== "time", logY: this.settings.logY, date: this.told.x_axis === "time" });
    if (this.settings.clip) this.clip(layout.yaxis);
    Object.assign(layout, { hovermode: false, uirevision: JSON.stringify([this.told.x_axis, this.settings.logX, this.range]), datarevision: (this.revision = (this.revision ?? 0) + 1) });
    const invisible = corners(this.shown(), this.settings);
    if (this.settings.logY) Object.assign(layout.yaxis, logTicks(invisible.y));
    await Plotly.react(this.plot, [invisible], resolve(layout), CONFIG);
    if (!this.listening) this.listen();
    this.repaint();
    this.describe();
  }

  clip(axis) {
    const lists = this.shown().map((line) => line.y), limits = clipped(lists, this.settings.logY);
    this.outside = outside(lists, limits, this.settings.logY);
    Object.assign(axis, limits);
  }

  shown() {
    return this.lines.filter((line) => !this.hidden.has(line.place));
  }

  repaint() {
    const { smoothing } = this.settings;
    const lines = this.shown(), width = lines.length > MANY ? 1.1 : 1.8;
    const painted = [];
    for (const line of lines) {
      const name = `--series-${(line.place % COLOURS) + 1}`;
      const isSmoothed = smoothing > 0 && line.y.length > 60;
      const [drawn, lower, upper] = [line.y, line.lower, line.upper].map((y) => (y && isSmoothed ? smooth(line.x, y, smoothing) : y));
      line.drawn = drawn;
      if (isSmoothed) painted.push({ x: line.x, y: line.y, colour: colour(name, lines.length > MANY ? 0.12 : 0.3), width: 1 });
      painted.push({ x: line.x, y: line.drawn, colour: colour(name), width, lower, upper, fill: colour(name, 0.16) });
    }
    this.plot.dataset.paintMs = paint(this.plot, painted).toFixed(1);
    Object.assign(this.plot.dataset, { lines: lines.length, revision: this.revision });
  }

  listen() {
    this.listening = true;
    join(this);
    this.plot.on("plotly_afterplot", () => this.lines && this.repaint());
    this.plot.on("plotly_relayouting", () => this.repaint());
    this.plot.on("plotly_relayout", (change) => {
      if (change["xaxis.range[0]"] !== undefined) this.zoom(change["xaxis.range[0]"], change["xaxis.range[1]"]);
    });
    this.plot.on("plotly_doubleclick", () => showWindow(null));
    zoomByKeys(this.plot, this.element.querySelector("h2").textContent, () => showWindow(null));
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => { this.highlight(null); hide(); });
    this.plot.addEventListener("click", (event) => this.open(event));
  }

  zoom(low, high) {
    const unit = (value) => {
      if (this.told.x_axis === "time") return new Date(`${value}Z`.replace(" ", "T")).getTime() / 1000 + UTC_OFFSET_S;
      return this.settings.logX ? 10 ** value : Number(value);
    };
    showWindow({ from: unit(low), to: unit(high) });
  }

  // ---- what is pointed at

  at(event) {
    const { xaxis, yaxis } = this.plot._fullLayout;
    const box = this.plot.getBoundingClientRect();
    return [event.clientX - box.left - xaxis._offset, event.clientY - box.top - yaxis._offset];
  }

  find(event) {
    const lines = this.shown().map(({ x, drawn, y }) => ({ x, y: drawn ?? y }));
    const found = nearest(this.plot, lines, ...this.at(event));
    return found && { line: this.shown()[found.line], index: found.index };
  }

  point(event) {
    if (!this.lines) return;
    const began = performance.now();
    const [px] = this.at(event);
    show(this, this.plot._fullLayout.xaxis.p2c(px));
    const found = this.find(event);
    this.highlight(found?.line ?? null, found?.index);
    this.plot.dataset.hoverMs = (performance.now() - began).toFixed(1);
  }

  highlight(line, index) {
    if (line === this.lit && index === this.litAt) return;
    this.lit = line;
    this.litAt = index;
    const name = line && `--series-${(line.place % COLOURS) + 1}`;
    paint(this.plot, line ? [{ x: line.x, y: line.drawn, colour: colour(name), width: 3 }] : [], { name: "lit" });
    this.plot.classList.toggle("is-on-line", Boolean(line));
    const tip = (this.tip ??= this.plot.appendChild(Object.assign(document.createElement("div"), { className: "curve-tip" })));
    tip.hidden = !line;
    for (const row of document.querySelectorAll("[data-line]")) row.classList.toggle("selected", row.dataset.line === String(line?.place));
    if (!line) return;
    const { xaxis, yaxis } = this.plot._fullLayout;
    const left = xaxis._offset + placer(xaxis)(line.x[index]);
    tip.textContent = `${line.label}  ${Number(line.y[index]).toPrecision(5)}`;
    tip.classList.toggle("to-left", left > xaxis._offset + xaxis._length * 0.6);
    Object.assign(tip.style, { left: `${left}px`, top: `${yaxis._offset + 4}px` });
  }

  // What the cursor of another chart shows here: the line that is pointed at there, or the first.
  readout(x) {
    const line = this.shown()[0];
    if (!line) return "";
    let i = line.x.findIndex((value) => value > (this.plot._fullLayout.xaxis.type === "log" ? 10 ** x : x));
    if (i < 0) i = line.x.length;
    return i ? Number(line.y[i - 1]).toPrecision(4) : "";
  }

  open(event) {
    const found = this.lines && this.find(event);
    if (found) document.querySelector(`[data-line="${found.line.place}"] a`)?.click();
  }

  toggle(place, isShown) {
    if (isShown) this.hidden.delete(place);
    else this.hidden.add(place);
    if (this.lines) this.draw();
  }

  describe() {
    const { without } = this.told, { lines } = this;
    const points = lines.reduce((sum, line) => sum + line.count, 0);
    const parts = [`${lines.length.toLocaleString("en")} ${lines[0]?.lower ? "group" : "line"}${lines.length === 1 ? "" : "s"}`, `${points.toLocaleString("en")} points`];
    if (without) parts.push(`${without} run${without === 1 ? "" : "s"} without it`);
    if (this.settings.clip) parts.push(told(this.outside));
    const words = lines[0]?.lower ? "" : undrawn(lines.map((line) => line.y), this.settings.logY);
    if (words) parts.push(words);
    if (this.range) parts.push("zoomed · double-click or 0 goes back");
    if (this.isLive && !this.range) parts.push("live");
    this.caption.textContent = parts.join(" · ");
  }

  // The lines as Plotly's own, for a file.
  picture() {
    return this.shown().flatMap((line) => {
      const name = `--series-${(line.place % COLOURS) + 1}`;
      const trace = { type: "scatter", mode: "lines", x: line.x, name: line.label };
      const edge = { ...trace, line: { width: 0 }, showlegend: false };
      const band = line.lower ? [{ ...edge, y: line.lower }, { ...edge, y: line.upper, fill: "tonexty", fillcolor: colour(name, 0.16) }] : [];
      return [...band, { ...trace, y: line.drawn, line: { color: colour(name), width: 1.4 } }];
    });
  }
}

function unpack(text) {
  const signs = atob(text), bytes = new Uint8Array(signs.length);
  for (let i = 0; i < signs.length; i++) bytes[i] = signs.charCodeAt(i);
  return new Float64Array(bytes.buffer);
}

// A line as it is drawn; `last` is where it ends, in the server's units.
function unpacked(line, place, { x_axis: axis }) {
  const x = unpack(line.x);
  return {
    ...line, place: places.get(line.runs[0]) ?? place, last: x.at(-1), x: placed(x, axis === "time"), y: unpack(line.y),
    lower: line.lower && unpack(line.lower), upper: line.upper && unpack(line.upper),
  };
}

// Puts a window that begins at the line's last x in the place of what is there from then on.
function extend(line, window) {
  const kept = line.x.findLastIndex((x) => x < window.x[0]) + 1;
  const joined = (name) => {
    const both = new Float64Array(kept + window.x.length);
    both.set(line[name].subarray(0, kept));
    both.set(window[name], kept);
    return both;
  };
  Object.assign(line, { count: line.count + window.count - (line.x.length - kept), x: joined("x"), y: joined("y"), last: window.last });
}

// Local milliseconds on a time axis.
function placed(x, isTime) {
  return isTime ? x.map((seconds) => (seconds - UTC_OFFSET_S) * 1000) : x;
}

function corners(lines, { logX, logY }) {
  const ends = (lists, isLog) => {
    let low = Infinity, high = -Infinity;
    for (const list of lists) for (const value of list) if (Number.isFinite(value) && (!isLog || value > 0)) { if (value < low) low = value; if (value > high) high = value; }
    return low <= high ? [low, high] : [];
  };
  const x = ends(lines.map((line) => line.x), logX);
  const y = ends(lines.flatMap((line) => [line.y, ...(line.lower ? [line.lower, line.upper] : [])]), logY);
  return { type: "scatter", mode: "lines", x, y, line: { width: 0, color: "rgba(0,0,0,0)" }, hoverinfo: "skip" };
}

// ---- the page

const charts = [...document.querySelectorAll("[data-curves]")].map((element) => new Curves(element));
whenSeen(charts.map((chart) => chart.element), (element) => charts.find((chart) => chart.element === element).begin());
if (charts.length) plotly(); // comes while the lines are read

// All charts show the same window, and so does the address.
function showWindow(range) {
  const query = new URLSearchParams(location.search);
  ENDS.forEach((end) => query.delete(end));
  for (const [end, value] of Object.entries(range ?? {})) query.set(end, value);
  history.replaceState(history.state, "", `?${query}`);
  charts.forEach((chart) => chart.lines && chart.load(range));
}

// One reading after the other, while somebody looks and a run goes on.
async function follow() {
  if (!document.hidden) await Promise.all(charts.map((chart) => chart.isLive && chart.refresh().catch(() => {})));
  if (charts.some((chart) => !chart.lines || chart.isLive)) setTimeout(follow, LIVE_MS);
}
if (document.getElementById("curves-panels")?.dataset.live) setTimeout(follow, LIVE_MS);
onThemeChange(() => charts.forEach((chart) => chart.lines && chart.draw()));

form.addEventListener("input", ({ target }) => {
  const output = form.querySelector("output");
  if (output) output.textContent = settings().smoothing.toFixed(2);
  if (!target.matches("[data-at-once]")) return;
  const query = new URLSearchParams(location.search);
  query.delete(target.name);
  if (target.type !== "checkbox" || target.checked) query.set(target.name, target.type === "checkbox" ? "1" : target.value);
  history.replaceState(history.state, "", `?${query}`);
  charts.forEach((chart) => chart.lines && chart.draw());
});
form.addEventListener("change", ({ target }) => target.matches("select") && form.requestSubmit());
document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-shows]")) charts.forEach((chart) => chart.toggle(Number(target.dataset.shows), target.checked));
});
