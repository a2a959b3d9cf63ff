// Figures that the server composes (webapp/charts): <div class="plot" data-figure="URL">. Each is fetched when scrolled to,
// drawn in the colours of the theme, drawn again when the theme changes, and read again on the event `hone:refresh`. What a
// figure says of itself (`layout.meta.caption`) is written into its panel's [data-caption]; `hone:drawn` is told
// after each drawing.

import { plotly } from "./plotly.js";
import { CONFIG, onThemeChange, resolve } from "./figure.js";

export const NEAR = "240px"; // charts this far below the screen are loaded already
const figures = new WeakMap();

// Calls back once for each element when it comes near the screen.
export function whenSeen(elements, callback) {
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      callback(target);
    }
  }, { rootMargin: NEAR });
  for (const element of elements) observer.observe(element);
}

export async function drawFigure(element) {
  const answer = await fetch(element.dataset.figure, { headers: { Accept: "application/json" } });
  if (!answer.ok) return void (element.textContent = `The chart could not be read (${answer.status}).`);
  figures.set(element, await answer.json());
  await paint(element);
}

async function paint(element) {
  const figure = figures.get(element);
  const empty = !figure?.data?.length;
  element.closest("[data-hide-when-empty]")?.classList.toggle("is-empty", empty);
  const caption = element.closest(".panel")?.querySelector("[data-caption]");
  if (caption && figure?.layout?.meta) caption.textContent = figure.layout.meta.caption ?? "";
  if (empty) return;
  const Plotly = await plotly();
  await Plotly.react(element, resolve(figure.data), resolve(figure.layout), CONFIG);
  element.dispatchEvent(new Event("hone:drawn", { bubbles: true }));
}

// A panel that had nothing to show is never scrolled to.
const isEmpty = (element) => element.closest(".is-empty") !== null;

export function start(root = document) {
  const elements = [...root.querySelectorAll("[data-figure]")];
  whenSeen(elements, drawFigure);
  for (const element of elements) element.addEventListener("hone:refresh", () => (figures.has(element) || isEmpty(element)) && drawFigure(element));
  onThemeChange(() => elements.filter((element) => figures.has(element)).forEach(paint));
}

start();
