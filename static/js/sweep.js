// The page of a sweep: what a chart's menu says is asked of its figure; figures are read again while trials end.

import { whenSeen } from "./charts.js";

const CHARTS_EVERY_MS = 10000;

document.addEventListener("change", (event) => {
  const options = event.target.closest("[data-options]");
  if (options) show(options);
});
document.addEventListener("submit", (event) => { if (event.target.matches("[data-options]")) event.preventDefault(); });

function show(options) {
  const plot = options.parentElement.querySelector("[data-figure]");
  plot.dataset.figure = `${plot.dataset.address}?${new URLSearchParams(new FormData(options))}`;
  plot.dispatchEvent(new Event("hone:refresh"));
}

// A browser that goes back restores what was chosen.
addEventListener("pageshow", () => document.querySelectorAll("[data-options]").forEach((options) => {
  if ([...options.elements].some((element) => element.selectedIndex > 0)) show(options);
}));

// The head is read again every few seconds; the charts only when it tells something new, not at its pace, and each only
// when it is looked at.
const news = () => document.getElementById("sweep-head")?.dataset.news;
const stale = new WeakSet();
let told = news();
let at = Date.now();
document.addEventListener("htmx:afterSettle", () => {
  if (news() === told || Date.now() - at < CHARTS_EVERY_MS) return;
  told = news();
  at = Date.now();
  const plots = [...document.querySelectorAll("[data-figure]")].filter((plot) => !stale.has(plot));
  plots.forEach((plot) => stale.add(plot));
  whenSeen(plots, (plot) => { stale.delete(plot); plot.dispatchEvent(new Event("hone:refresh")); });
});

// A point that is a trial leads to it.
const listening = new WeakSet();
document.addEventListener("hone:drawn", ({ target: plot }) => {
  if (!plot.dataset.trials || listening.has(plot)) return;
  listening.add(plot);
  plot.on("plotly_click", ({ points: [point] }) => {
    const number = point.data.meta?.points === "trials" && point.customdata?.[0];
    if (number) location.assign(`${plot.dataset.trials}?number=${number}`);
  });
});
