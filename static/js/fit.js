// The page of a fit and the comparison of fits. The head is read again by itself; where it tells of another revision, the
// tab is read anew. What a chart's fields say is asked of its figure.

import { start } from "./charts.js";
import "./download.js";

const shown = () => document.getElementById("fit-head")?.dataset.shown;
let told = shown();

document.addEventListener("htmx:afterSettle", async () => {
  if (shown() === told) return;
  told = shown();
  const tab = document.getElementById("fit-tab");
  await htmx.ajax("GET", tab.dataset.source, { target: "#fit-tab", swap: "innerHTML" });
  start(tab);
});

const NUMBER = /^\s*[\d.,_]+(e[+-]?\d+)?\s*[kMBGT]?\s*$/i;
let timer;
document.addEventListener("input", ({ target }) => {
  const options = target.closest("[data-options]");
  if (!options) return;
  const isWrong = target.matches("input") && !NUMBER.test(target.value);
  if (isWrong) target.setAttribute("aria-invalid", "true");
  else target.removeAttribute("aria-invalid");
  clearTimeout(timer);
  if (isWrong) return;
  timer = setTimeout(() => show(options), 400);
});
document.addEventListener("submit", (event) => { if (event.target.matches("[data-options]")) event.preventDefault(); });

function show(options) {
  const panel = options.closest(".panel");
  const plot = panel.querySelector("[data-figure]");
  const asked = new URL(plot.dataset.address, location.href);
  for (const [name, value] of new FormData(options)) if (value) asked.searchParams.set(name, value);
  plot.dataset.figure = `${asked.pathname}${asked.search}`;
  asked.searchParams.set("format", "csv");
  panel.querySelector("[data-csv]").href = `${asked.pathname}${asked.search}`;
  plot.dispatchEvent(new Event("hone:refresh"));
}
