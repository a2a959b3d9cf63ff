// Keys, declared where they act: data-key="n" on a control presses it, data-key="g r" is a sequence, and an input is
// focused. In a <tbody data-rows>, j and k move a cursor, x ticks the row's checkbox, Enter opens its .open link.
const SEQUENCE_MS = 1200;
let prefix = "";
let prefixTimer = 0;

const typing = (target) => target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.matches?.("input")) event.target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (moveRow(event.key) || pressKey(event.key)) event.preventDefault();
});

function pressKey(key) {
  const keys = prefix ? `${prefix} ${key}` : key;
  const control = find(keys, document.getElementById("main")) ?? find(keys); // what the page itself has goes first
  clearPrefix();
  if (control) return press(control);
  if (document.querySelector(`[data-key^="${CSS.escape(keys)} "]`)) holdPrefix(keys);
  return false;
}

function find(keys, within = document) {
  return [...(within?.querySelectorAll("[data-key]") ?? [])].find((element) => element.dataset.key === keys);
}

function press(control) {
  if (control.matches("input:not([type=checkbox]), select, textarea")) {
    control.focus();
    control.select?.();
  } else control.click();
  return true;
}

function holdPrefix(keys) {
  prefix = keys;
  prefixTimer = setTimeout(clearPrefix, SEQUENCE_MS);
}

function clearPrefix() {
  prefix = "";
  clearTimeout(prefixTimer);
}

const rows = () => [...document.querySelectorAll("tbody[data-rows] > tr:not([hidden])")];
const cursor = () => document.querySelector("tbody[data-rows] > tr.cursor");

function moveRow(key) {
  if (prefix) return false;
  if (key === "j" || key === "k") return step(key === "j" ? 1 : -1);
  const row = cursor();
  if (!row) return false;
  if (key === "x") return tick(row);
  if (key === "Enter" && document.activeElement === document.body) return open(row);
  return false;
}

function step(by) {
  const all = rows();
  if (!all.length) return false;
  const now = all.indexOf(cursor());
  const next = all[Math.min(Math.max(now + by, 0), all.length - 1)];
  all[now]?.classList.remove("cursor");
  next.classList.add("cursor");
  next.scrollIntoView({ block: "nearest" });
  return true;
}

function tick(row) {
  const box = row.querySelector("input[type=checkbox]");
  box?.click();
  return Boolean(box);
}

function open(row) {
  const link = row.querySelector("a.open") ?? row.querySelector("a");
  link?.click();
  return Boolean(link);
}

// A polled table is swapped as a whole: the cursor stays on its row.
let kept = null;
document.addEventListener("htmx:beforeSwap", () => {
  kept = cursor()?.id || null;
});
document.addEventListener("htmx:afterSettle", () => {
  if (kept && !cursor()) document.getElementById(kept)?.classList.add("cursor");
});
