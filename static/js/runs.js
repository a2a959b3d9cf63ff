// The table of runs: asks for itself again while something moves, and keeps what is ticked through every swap and page.

import { toast } from "./toast.js";

const BUSY_MS = 2500;
const CALM_MS = 15000;
const KEY = `ticked ${location.pathname}`;
const ticked = new Set(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));
let matched = ""; // the filter whose runs are all meant, on whatever page
let at = Date.now();

const table = () => document.getElementById("runs-table");
const boxes = () => [...document.querySelectorAll('#runs-table input[name="run"]')];
const matchBox = () => document.getElementById("bulk-match");

function show() {
  const all = document.querySelector("[data-all]");
  const shown = boxes();
  for (const box of shown) {
    box.checked = ticked.has(box.value);
    box.closest("tr").classList.toggle("selected", box.checked);
  }
  const count = shown.filter((box) => box.checked).length;
  if (matchBox()) matchBox().checked = matchBox().value === matched;
  document.getElementById("bulk-bar")?.classList.toggle("has-some", ticked.size > 0);
  const text = document.getElementById("bulk-count");
  if (text) text.textContent = told(ticked.size - count);
  if (all) { all.checked = count > 0 && count === shown.length; all.indeterminate = count > 0 && count < shown.length; }
}

function told(elsewhere) {
  if (matchBox()?.checked) return "All";
  const some = `${ticked.size} run${ticked.size === 1 ? "" : "s"}`;
  return elsewhere ? `${some}, ${elsewhere} not on this page` : some;
}

document.addEventListener("change", (event) => {
  if (event.target === matchBox()) matched = event.target.checked ? event.target.value : "";
  else if (event.target.matches("[data-all]")) for (const box of boxes()) note(box.value, event.target.checked);
  else if (event.target.matches('#runs-table input[name="run"]')) note(event.target.value, event.target.checked);
  else return;
  show();
});

function note(id, on) {
  if (on) ticked.add(id);
  else ticked.delete(id);
  keep();
}

function keep() {
  sessionStorage.setItem(KEY, JSON.stringify([...ticked]));
}

function untick() {
  ticked.clear();
  matched = "";
  keep();
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-untick]")) return;
  untick();
  show();
});

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
  if (event.target.id !== "bulk") return;
  if (!ticked.size) {
    event.preventDefault();
    toast("Tick at least one run first.", "info");
    return;
  }
  sendOthers(event.target);
  if (event.submitter?.value !== "compare") untick(); // nothing is ticked on the page that comes back
});

// The ticked runs of other pages, in one field: a form may have no thousand of them.
function sendOthers(form) {
  const shown = new Set(boxes().map((box) => box.value));
  const field = form.elements.others ?? form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name: "others" }));
  field.value = [...ticked].filter((id) => !shown.has(id)).join(",");
}

window.addEventListener("pageshow", () => {
  ticked.clear();
  for (const id of JSON.parse(sessionStorage.getItem(KEY) ?? "[]")) ticked.add(id);
  show();
});

document.documentElement.classList.add("has-script");
show();
