// Times of schedules in the reader's own zone, and the form whose preview follows what is typed.

const PREVIEW_AFTER_MS = 350;
const REFRESH_MS = 10_000;
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const SHORT = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
const STEPS = [[60, 1, "s"], [3600, 60, "min"], [172800, 3600, "h"], [Infinity, 86400, "d"]];

const shown = (text) => new Date(text).toLocaleString("en-GB", SHORT);

function until(text) {
  const seconds = Math.max(0, (Date.parse(text) - Date.now()) / 1000);
  const [, size, unit] = STEPS.find(([limit]) => seconds < limit);
  return `in ${Math.floor(seconds / size)} ${unit}`;
}

function localise(root) {
  for (const time of root.querySelectorAll("time[data-moment]")) time.textContent = shown(time.dateTime);
  for (const note of root.querySelectorAll("[data-until]")) note.textContent = until(note.dataset.until);
  for (const note of root.querySelectorAll("[data-yours]"))
    note.textContent = differs(note.dataset) ? `${shown(note.dataset.yours)} for you` : "";
}

// Two zones may have other names and the same time.
function differs({ yours, zone }) {
  const moment = new Date(yours);
  try {
    return moment.toLocaleString("en-GB", { timeZone: zone }) !== moment.toLocaleString("en-GB");
  } catch { // a zone that this browser does not know
    return true;
  }
}

localise(document);
setInterval(() => localise(document), REFRESH_MS);
document.addEventListener("htmx:afterSwap", ({ detail }) => localise(detail.elt));

// Nothing is swapped from under a key press, or from under text that somebody is about to copy.
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt } = event.detail;
  if (elt.matches("[data-poll]") && (elt.contains(document.activeElement) || String(getSelection()))) event.preventDefault();
});

const form = document.getElementById("schedule-form");
let timer;

function previewSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => window.htmx.trigger("#preview", "preview"), PREVIEW_AFTER_MS);
}

if (form) {
  if (form.dataset.fresh !== undefined && ZONE) form.elements.timezone.value = ZONE;
  form.addEventListener("input", previewSoon);
  form.querySelector("[aria-invalid]")?.focus();
}
