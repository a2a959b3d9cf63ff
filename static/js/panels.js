// All charts of a run page: which there are, in which groups, and how the reader wants them drawn. A run may have ten thousand
// metrics: groups that are too large come closed and are read when opened, and the search is the server's.

import { NEAR } from "./charts.js";
import { onThemeChange } from "./figure.js";
import { Panel } from "./panel.js";
import { plotly } from "./plotly.js";
import { isUsual, keepSettings, queryOf, readSettings, writeAddress } from "./settings.js";

const MOST_NEW = 100; // panels of metrics that came while the page was open
const SEARCH_MS = 200;
const METRIC = "metric:";

export class Panels {
  // `run`: see Panel.
  constructor(run) {
    Object.assign(this, { run, all: new Map(), named: new Map(), added: 0 });
    this.controls = document.getElementById("chart-controls");
    if (!this.controls) return; // another tab of the run
    this.settings = readSettings(this.controls.dataset.settings);
    if (!this.controls.dataset.settings && !isUsual(this.settings)) writeAddress(this.settings);
    this.watch();
    this.showSettings();
    this.controls.addEventListener("input", ({ target }) => this.change(target));
    this.controls.addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("htmx:afterSettle", () => this.adoptAll());
    document.querySelector("[data-chart-settings]")?.form.addEventListener("submit", ({ target }) => this.tell(target));
    onThemeChange(() => this.draw());
    this.adoptAll();
    if (this.all.size) plotly(); // comes while the first series are read
  }

  // Charts are read when they come near the screen, and drawn only while they are.
  watch() {
    const note = ({ target, isIntersecting }) => this.all.get(target)?.setSeen(isIntersecting);
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
      if (!this.named.has(name)) this.add(name);
      this.named.get(name)?.forEach((panel) => panel.append(batch));
    }
  }

  // ---- panels and groups

  // Takes charge of panels that have come into the page, and leaves those that are gone.
  adoptAll() {
    for (const [element, panel] of this.all) if (!element.isConnected) this.drop(element, panel);
    for (const element of document.querySelectorAll("[data-metric]")) if (!this.all.has(element)) this.adopt(element);
  }

  adopt(element) {
    const panel = new Panel(element, this.run, this.settings);
    this.all.set(element, panel);
    this.named.set(panel.name, (this.named.get(panel.name) ?? new Set()).add(panel));
    element.addEventListener("click", ({ target }) => this.act(panel, target.closest("button")));
    this.seen.observe(element);
  }

  drop(element, panel) {
    this.all.delete(element);
    this.named.get(panel.name).delete(panel);
    if (!this.named.get(panel.name).size) this.named.delete(panel.name);
    this.seen.unobserve(element);
    panel.leave();
  }

  act(panel, button) {
    const { act } = button?.dataset ?? {};
    if (!["log", "wide", "pin", "every"].includes(act)) return;
    if (act === "every") panel.every = !panel.every;
    else this.toggle(act, panel.name);
    panel.mark();
    if (act === "log") panel.draw();
    if (act === "pin") this.pin(panel);
    if (act === "wide") dispatchEvent(new Event("resize"));
    if (act === "wide" || act === "every") panel.load(panel.range); // more pixels, more points
  }

  toggle(list, name) {
    const names = this.settings[list];
    this.settings[list] = names.includes(name) ? names.filter((other) => other !== name) : [...names, name];
    keepSettings(this.settings);
  }

  // A pinned chart stands on top at once; one that is no longer pinned stays until the page is read again.
  pin(panel) {
    const first = document.querySelector('[data-group="first"]');
    if (this.settings.pin.includes(panel.name) && panel.element.parentElement !== first) first.prepend(panel.element);
  }

  // A metric that was not there when the page was made, or lies in a group that nobody has opened.
  add(name) {
    const prefix = name.includes("/") ? name.split("/")[0] : "other";
    const group = this.group(prefix);
    const first = document.querySelector('[data-group="first"]');
    const isFirst = JSON.parse(first.dataset.names).includes(name);
    if (!isFirst && (group?.dataset.closed !== undefined || ++this.added > MOST_NEW)) return;
    const element = document.getElementById("panel-template").content.firstElementChild.cloneNode(true);
    element.dataset.metric = name;
    element.setAttribute("aria-label", `Chart of ${name}`);
    element.querySelector("h2").textContent = name;
    element.querySelector("[data-export]").href = `${this.run.api}/export?${new URLSearchParams({ name, format: "csv" })}`;
    if (isFirst) first.insertBefore(element, first.querySelector(":scope > :not([data-metric])"));
    else (group ?? this.makeGroup(prefix)).querySelector(".panels").append(element);
    document.getElementById("no-metrics")?.remove();
    this.adopt(element);
  }

  group(prefix) {
    const path = prefix === "other" ? ["", "other"] : [prefix];
    return [...document.getElementById("groups").children].find(({ dataset }) => path.includes(dataset.group));
  }

  makeGroup(prefix) {
    const groups = document.getElementById("groups");
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
    const { elements } = this.controls;
    const isMetric = this.settings.x.startsWith(METRIC);
    elements.x.value = isMetric ? METRIC : this.settings.x;
    elements.metric.hidden = !isMetric;
    if (isMetric && document.activeElement !== elements.metric) elements.metric.value = this.settings.x.slice(METRIC.length);
    elements.smoothing.value = this.settings.smoothing;
    for (const name of ["logX", "logY", "clip"]) elements[name].checked = this.settings[name];
    this.controls.querySelector("output").textContent = this.settings.smoothing.toFixed(2);
    this.controls.hidden = false;
  }

  change({ name, value, type, checked }) {
    if (name === "filter") return this.filter(value.trim());
    if (name === "metric") return this.overMetric(value);
    if (name === "x" && value === METRIC) return this.askMetric();
    this.settings[name] = type === "checkbox" ? checked : type === "range" ? Number(value) : value;
    keepSettings(this.settings);
    this.showSettings();
    if (name === "logY") this.settings.log = []; // the page's choice counts again
    for (const panel of this.all.values()) {
      panel.mark();
      if (name === "x" && panel.series) panel.load();
      else panel.draw();
    }
  }

  askMetric() {
    const field = this.controls.elements.metric;
    field.hidden = false;
    field.focus();
    this.offer("");
  }

  // Names are offered while one is typed; x changes when it is one of them.
  async overMetric(text) {
    const names = await this.offer(text);
    if (names.includes(text)) this.change({ name: "x", value: METRIC + text });
  }

  async offer(text) {
    const answer = await fetch(`${this.run.api}/metrics?${new URLSearchParams({ q: text, limit: 50 })}`);
    const names = answer.ok ? (await answer.json()).items.map((item) => item.name) : [];
    document.getElementById("chart-metrics").replaceChildren(...names.map((value) => Object.assign(document.createElement("option"), { value })));
    return names;
  }

  // Where the page has all panels, they are hidden and shown; else the server looks for them.
  filter(text) {
    const isWhole = !document.querySelector("#groups [data-closed]");
    clearTimeout(this.searching);
    if (!isWhole) return void (this.searching = setTimeout(() => this.search(text), SEARCH_MS));
    for (const [element, panel] of this.all) element.hidden = !panel.name.includes(text);
    for (const group of document.querySelectorAll("#groups > [data-group]"))
      group.hidden = !group.querySelector("[data-metric]:not([hidden])");
  }

  search(text) {
    const found = document.getElementById("found");
    for (const other of document.querySelectorAll("#groups, .first-panels")) other.hidden = Boolean(text);
    found.hidden = !text;
    if (text) htmx.ajax("GET", `${this.controls.dataset.panels}?${new URLSearchParams({ q: text })}`, { target: "#found", swap: "innerHTML" });
    else { found.replaceChildren(); this.adoptAll(); }
  }

  // A layout is saved as the address that shows the same.
  tell(form) {
    form.querySelector("[data-chart-settings]").value = queryOf(this.settings);
  }
}
