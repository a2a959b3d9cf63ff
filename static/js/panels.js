// All charts of a run page: which there are, in which groups, and how the reader wants them drawn.

import { NEAR } from "./charts.js";
import { onThemeChange } from "./figure.js";
import { Panel } from "./panel.js";

const DEFAULTS = { x: "step", smoothing: 0.6, logX: false, logY: false };
const REMEMBERED = "hone.charts";

export class Panels {
  // `run`: see Panel; `ready`: a promise that series may be read.
  constructor(run, ready) {
    Object.assign(this, { run, ready, all: new Map() });
    this.controls = document.getElementById("chart-controls");
    if (!this.controls) return; // another tab of the run
    this.settings = { ...DEFAULTS, ...JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}") };
    this.watch();
    this.showSettings();
    this.controls.addEventListener("input", ({ target }) => this.change(target));
    this.controls.addEventListener("submit", (event) => event.preventDefault());
    onThemeChange(() => this.draw());
    document.querySelectorAll("[data-metric]").forEach((element) => this.adopt(element));
  }

  // Charts are read when they come near the screen, and drawn only while they are.
  watch() {
    const note = ({ target, isIntersecting }) => this.all.get(target.dataset.metric).setSeen(isIntersecting, this.ready);
    this.seen = new IntersectionObserver((entries) => entries.forEach(note), { rootMargin: NEAR });
  }

  draw() {
    this.all.forEach((panel) => panel.draw());
  }

  // Reads again what was read before: points may have been missed.
  catchUp() {
    this.all.forEach((panel) => (panel.series || panel.loading) && panel.load(panel.range));
  }

  rewind(step) {
    this.all.forEach((panel) => panel.rewind(step));
  }

  // `points`: { name: { step, value, time } }, each a number or an array of them.
  append(points) {
    if (!this.controls) return;
    for (const [name, { step, value, time }] of Object.entries(points)) {
      const batch = { steps: [step].flat(), values: [value].flat(), times: [time].flat() };
      (this.all.get(name) ?? this.add(name)).append(batch);
    }
  }

  // ---- panels and groups

  adopt(element) {
    const panel = new Panel(element, this.run, this.settings);
    this.all.set(panel.name, panel);
    element.addEventListener("click", ({ target }) => this.act(panel, target.closest("button")));
    this.seen.observe(element);
    return panel;
  }

  act(panel, button) {
    if (button?.dataset.act === "log") {
      panel.logY = !(panel.logY ?? this.settings.logY);
      button.setAttribute("aria-pressed", String(panel.logY));
      panel.draw();
    }
    if (button?.dataset.act === "wide") {
      button.setAttribute("aria-pressed", String(panel.element.classList.toggle("wide")));
      dispatchEvent(new Event("resize"));
      panel.load(panel.range); // more pixels, more points
    }
  }

  // A metric that was not there when the page was made.
  add(name) {
    const element = document.getElementById("panel-template").content.firstElementChild.cloneNode(true);
    element.dataset.metric = name;
    element.setAttribute("aria-label", `Chart of ${name}`);
    element.querySelector("h2").textContent = name;
    element.querySelector("[data-export]").href = `${this.run.api}/export?${new URLSearchParams({ name, format: "csv" })}`;
    const first = document.querySelector('[data-group="first"]');
    if (first.dataset.names.split(" ").includes(name)) first.insertBefore(element, first.querySelector(":scope > :not([data-metric])"));
    else this.group(name.includes("/") ? name.split("/")[0] : "other").querySelector(".panels").append(element);
    document.getElementById("no-metrics")?.remove();
    return this.adopt(element);
  }

  group(prefix) {
    const groups = document.getElementById("groups");
    const there = [...groups.children].find(({ dataset }) => dataset.group === prefix);
    if (there) return there;
    const group = document.getElementById("group-template").content.firstElementChild.cloneNode(true);
    group.dataset.group = prefix;
    group.querySelector("h2").textContent = prefix;
    const order = groups.dataset.order.split(" ");
    const place = (name) => (order.includes(name) ? order.indexOf(name) : order.indexOf("*"));
    groups.insertBefore(group, [...groups.children].find(({ dataset }) => place(dataset.group) > place(prefix)) ?? null);
    return group;
  }

  // ---- settings

  showSettings() {
    for (const name of ["x", "smoothing"]) this.controls.elements[name].value = this.settings[name];
    for (const name of ["logX", "logY"]) this.controls.elements[name].checked = this.settings[name];
    this.controls.querySelector("output").textContent = this.settings.smoothing.toFixed(2);
    this.controls.hidden = false;
  }

  change({ name, value, type, checked }) {
    if (name === "filter") return this.filter(value.trim());
    this.settings[name] = type === "checkbox" ? checked : type === "range" ? Number(value) : value;
    localStorage.setItem(REMEMBERED, JSON.stringify(this.settings));
    this.showSettings();
    for (const panel of this.all.values()) {
      if (name === "logY") panel.logY = null; // the page's choice counts again
      if (name === "x" && panel.series) panel.load();
      else panel.draw();
    }
  }

  filter(text) {
    for (const [name, { element }] of this.all) element.hidden = !name.includes(text);
    for (const group of document.querySelectorAll("#groups > [data-group]"))
      group.hidden = !group.querySelector("[data-metric]:not([hidden])");
  }
}
