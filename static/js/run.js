// The run page: one event stream feeds its charts, its log, its head and its progress.

import "./download.js";
import { follow } from "./live.js";
import { Log, localTimes } from "./log.js";
import { Panels } from "./panels.js";

const HEAD_EVERY_MS = 2000;

const page = document.getElementById("run");
const isLive = page.dataset.live !== undefined;
const run = { api: page.dataset.api };
readHead();

const panels = new Panels(run);
const logBox = document.querySelector("[data-log]");
const log = logBox && new Log(logBox, document.querySelector("[data-follow]"));

// What the head knows and the charts need: when the run began, where it was resumed and where phases began.
function readHead() {
  const { startedAt, marks } = document.getElementById("run-head").dataset;
  run.startedAt = Number(startedAt) || NaN;
  run.marks = JSON.parse(marks);
}

function state({ status, step, steps }) {
  const bar = document.querySelector(".run-progress");
  if (bar && steps) Object.assign(bar, { max: steps, value: step });
  if (page.dataset.reloads !== undefined && status === "succeeded") return location.reload(); // its result is the page
  refreshHead(status !== page.dataset.status);
  page.dataset.status = status;
}

// Reads head, facts and notes again: at once after a change of state, else now and then.
let headTimer, headAt = 0;
function refreshHead(now = false) {
  if (headTimer && !now) return;
  clearTimeout(headTimer);
  headTimer = setTimeout(() => {
    headTimer = undefined;
    headAt = Date.now();
    reread("run-head");
    if (now) refreshParts();
  }, now ? 0 : Math.max(0, headAt + HEAD_EVERY_MS - Date.now()));
}

function refreshParts() {
  document.querySelectorAll("[data-figure]").forEach((element) => element.dispatchEvent(new Event("hone:refresh")));
  document.querySelectorAll("[data-refresh]").forEach(({ id }) => reread(id));
}

// Reads a part of the page again; what is asked for meanwhile is done once more afterwards, so the last answer is the newest.
const busy = new Map();
async function reread(id) {
  if (busy.has(id)) return void busy.set(id, true);
  busy.set(id, false);
  const { source } = document.getElementById(id).dataset;
  await htmx.ajax("GET", source, { target: `#${id}`, swap: "outerHTML" }).catch(() => {}); // the stream says when it is back
  const isAskedAgain = busy.get(id);
  busy.delete(id);
  if (isAskedAgain) reread(id);
}

// Something may have been missed: everything that the page has read is read again.
function catchUp() {
  panels.catchUp();
  tellMedia(null);
  log?.reread(logBox.dataset.source);
  refreshHead(true);
}

// static/js/media.js hears of new pictures and histograms, by series; null is all of them.
function tellMedia(told) {
  document.dispatchEvent(new CustomEvent("hone:media", { detail: told }));
}

function showConnection(status) {
  const pill = document.getElementById("connection");
  if (pill) Object.assign(pill, { textContent: status === "live" ? "live" : "reconnecting" }).dataset.status = status;
}

localTimes(document);
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  localTimes(detail.elt);
  const before = JSON.stringify(run.marks);
  readHead();
  if (JSON.stringify(run.marks) !== before) panels.draw();
});

if (isLive)
  follow(`${run.api}/events`, page.dataset.live, {
    reset: catchUp,
    points: (points) => { panels.append(points); refreshHead(); },
    media: tellMedia,
    log: ({ lines }) => log?.append(lines),
    state,
    rewind: ({ step }) => { panels.rewind(step); tellMedia(null); refreshHead(true); },
    artifacts: refreshParts,
    status: showConnection,
  });
