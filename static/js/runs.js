// The table of runs: asks for itself again while something moves, and keeps what is ticked through every swap.

import { toast } from "./toast.js";

const BUSY_MS = 2500;
const CALM_MS = 15000;
const ticked = new Set();
let at = Date.now();

const table = () => document.getElementById("runs-table");
const boxes = () => [...document.querySelectorAll('#runs-table input[name="run"]')];

function show() {
  const all = document.querySelector("[data-all]");
  const shown = boxes();
  for (const box of shown) {
    box.checked = ticked.has(box.value);
    box.closest("tr").classList.toggle("selected", box.checked);
  }
  const count = shown.filter((box) => box.checked).length;
  document.getElementById("bulk-bar")?.classList.toggle("has-some", count > 0);
  const text = document.getElementById("bulk-count");
  if (text) text.textContent = `${count} run${count === 1 ? "" : "s"}`;
  if (all) { all.checked = count > 0 && count === shown.length; all.indeterminate = count > 0 && count < shown.length; }
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) for (const box of boxes()) note(box.value, event.target.checked);
  else if (event.target.matches('#runs-table input[name="run"]')) note(event.target.value, event.target.checked);
  else return;
  show();
});

function note(id, on) {
  if (on) ticked.add(id);
  else ticked.delete(id);
}

document.addEventListener("htmx:afterSwap", () => { at = Date.now(); show(); });

setInterval(() => {
  if (document.hidden || !table() || typing() || document.querySelector("dialog[open]")) return;
  const wait = table().dataset.live === "yes" ? BUSY_MS : CALM_MS;
  if (Date.now() - at >= wait) { at = Date.now(); htmx.trigger(table(), "refresh"); }
}, 500);

// The tag field lies inside what is swapped: nothing is taken from under somebody's fingers.
function typing() {
  return document.activeElement?.matches?.('#runs-table input[name="tag"]') && document.activeElement.value;
}

document.addEventListener("submit", (event) => {
  if (event.target.id !== "bulk" || ticked.size) return;
  event.preventDefault();
  toast("Tick at least one run first.", "info");
});

document.documentElement.classList.add("has-script");
show();
