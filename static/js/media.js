// The Media tab of a run: each series has a slider over its steps. Steps and captions are read when a panel comes near the screen;
// what a running run logs arrives as `hone:media` (see run.js).

import { whenSeen } from "./charts.js";
import { CONFIG, onThemeChange, resolve } from "./figure.js";
import { plotly } from "./plotly.js";

const REREAD_MS = 400;
const root = document.getElementById("run-media");
const together = document.getElementById("media-together");
const find = document.getElementById("media-find");
const panels = new Map();

class Panel {
  constructor(element) {
    this.element = element;
    this.name = element.dataset.media;
    this.slider = element.querySelector("input[type=range]");
    this.output = element.querySelector("output");
    this.words = element.querySelector("[data-words]");
    this.caption = element.querySelector("[data-caption]");
    this.picture = element.querySelector("img");
    this.plot = element.querySelector(".plot");
    this.overTime = element.querySelector("[data-over-time]");
    this.slider.addEventListener("input", () => this.slide());
    this.overTime?.addEventListener("click", () => this.turn());
    onThemeChange(() => this.figure && this.paint());
  }

  // Reads steps and captions, keeping to the step that is shown, or to the end where the last one is.
  async load() {
    this.isRead = true;
    const turn = (this.read = (this.read ?? 0) + 1);
    const answer = await ask(`${root.dataset.api}/media-items?${new URLSearchParams({ name: this.name })}`);
    if (turn !== this.read) return; // asked again meanwhile
    if (!answer.ok) return this.fail(`The steps could not be read (${answer.status || "no answer"}).`);
    const { items } = await answer.json();
    const atEnd = !this.items || this.place === this.items.length - 1;
    const shown = this.items?.[this.place];
    this.items = items;
    if (!this.items.length) return void (panels.delete(this.name), this.element.remove());
    this.slider.max = this.items.length - 1;
    this.slider.hidden = this.items.length < 2;
    if (this.overTime) this.overTime.hidden = this.items.length < 2;
    this.caption.textContent = `${this.items.length.toLocaleString("en")} step${this.items.length === 1 ? "" : "s"}`;
    this.place = atEnd ? this.items.length - 1 : this.placeOf(shown.step);
    this.figure = null;
    this.show();
  }

  rereadSoon() {
    if (this.isRead) this.timer ??= setTimeout(() => { this.timer = undefined; this.load(); }, REREAD_MS);
  }

  fail(sentence) {
    this.element.classList.add("media-failed");
    this.words.textContent = sentence;
  }

  // The last place at or before a step; the first where all come later.
  placeOf(step) {
    const after = this.items.findIndex((item) => item.step > step);
    return after < 0 ? this.items.length - 1 : Math.max(0, after - 1);
  }

  slide() {
    this.place = Number(this.slider.value);
    this.show();
    if (together.checked) follow(this);
  }

  goTo(step) {
    if (!this.items) return;
    const place = this.placeOf(step);
    if (place === this.place) return;
    this.place = place;
    this.show();
  }

  show() {
    const { step, caption, width, height, sha256 } = this.items[this.place];
    this.element.classList.remove("media-failed");
    this.slider.value = this.place;
    this.output.textContent = step.toLocaleString("en");
    this.slider.setAttribute("aria-valuetext", `step ${step.toLocaleString("en")}${caption ? `, ${caption}` : ""}`);
    this.words.textContent = caption;
    if (this.picture) this.showPicture(step, caption, width, height, sha256);
    else this.showPlot(step);
  }

  showPicture(step, caption, width, height, sha256) {
    const address = `${root.dataset.api}/media/${this.name.split("/").map(encodeURIComponent).join("/")}?${new URLSearchParams({ ...at(step), sha256 })}`;
    this.element.querySelector("[data-open]").href = address;
    if (this.sha256 === sha256) return;
    this.sha256 = sha256;
    Object.assign(this.picture, { src: `${address}&thumbnail=true`, alt: caption || this.name, width, height });
  }

  // ---- histograms

  get isOverTime() {
    return this.overTime.getAttribute("aria-pressed") === "true";
  }

  turn() {
    this.overTime.setAttribute("aria-pressed", String(!this.isOverTime));
    this.figure = null;
    this.show();
  }

  // Over time one figure serves all steps: only its mark moves.
  async showPlot(step) {
    this.step = step;
    if (this.figure && this.isOverTime) return this.paint();
    const turn = (this.asked = (this.asked ?? 0) + 1);
    const query = new URLSearchParams({ name: this.name, ...(this.isOverTime ? { over: "time" } : at(step)) });
    const answer = await ask(`${root.dataset.figureSource}?${query}`);
    if (turn !== this.asked) return; // the slider has gone on
    if (!answer.ok) return this.fail(`The histogram could not be read (${answer.status || "no answer"}).`);
    this.figure = await answer.json();
    if (turn === this.asked) await this.paint();
  }

  async paint() {
    const { figure } = this;
    const Plotly = await plotly();
    if (figure !== this.figure) return; // read again meanwhile
    const mark = { type: "line", xref: "x", yref: "paper", x0: this.step, x1: this.step, y0: 0, y1: 1, line: { color: "--ink", width: 1, dash: "dot" } };
    const layout = { ...figure.layout, shapes: this.isOverTime ? [mark] : [] };
    await Plotly.react(this.plot, resolve(figure.data), resolve(layout), CONFIG);
    this.plot.dataset.step = this.step;
  }
}

// An answer; one that is not `ok` where the server can't be reached.
function ask(address) {
  return fetch(address, { headers: { Accept: "application/json" } }).catch(() => Response.error());
}

// A step above 2^53 is no exact number here: of the item at the end none is named.
function at(step) {
  return Number.isSafeInteger(step) ? { step } : {};
}

// All other panels go to the same step, or the last before it.
function follow(leader) {
  const { step } = leader.items[leader.place];
  for (const panel of panels.values()) if (panel !== leader) panel.goTo(step);
}

// Shows the panels whose names have every word that is looked for, in whatever case.
function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { name, element } of panels.values()) {
    element.hidden = !words.every((word) => name.toLowerCase().includes(word));
    shown += !element.hidden;
  }
  document.getElementById("media-none").textContent = panels.size && !shown ? "No series has these words." : "";
}

function adopt(elements) {
  for (const element of elements) panels.set(element.dataset.media, new Panel(element));
  document.getElementById("media-controls").hidden = panels.size < 2;
  filter();
  whenSeen(elements, (element) => panels.get(element.dataset.media)?.load());
}

// Puts series into the page that have come since, in their place, and takes away those that a rewind has dropped.
async function readPanels() {
  const answer = await fetch(root.dataset.mediaSource, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const list = document.getElementById("media-panels");
  const found = [...page.querySelectorAll("[data-media]")];
  const names = new Set(found.map(({ dataset }) => dataset.media));
  for (const [name, { element }] of panels) if (!names.has(name)) { element.remove(); panels.delete(name); }
  const fresh = found.filter(({ dataset }) => !panels.has(dataset.media));
  for (const element of fresh) list.insertBefore(element, [...list.children].find(({ dataset }) => dataset.media > element.dataset.media) ?? null);
  if (found.length) document.getElementById("no-media")?.remove();
  adopt(fresh);
}

let reading;
function readPanelsSoon() {
  reading ??= setTimeout(() => { reading = undefined; readPanels(); }, REREAD_MS);
}

document.addEventListener("hone:media", ({ detail }) => {
  const names = detail ? Object.keys(detail) : [...panels.keys()];
  for (const name of names) panels.get(name)?.rereadSoon();
  if (!detail || names.some((name) => !panels.has(name))) readPanelsSoon();
});

find.addEventListener("input", filter);
together.addEventListener("change", () => {
  const leader = [...panels.values()].find((panel) => panel.items);
  if (together.checked && leader) follow(leader);
});
document.getElementById("media-controls").addEventListener("submit", (event) => event.preventDefault());
adopt([...document.querySelectorAll("[data-media]")]);
