// A chart's stretch of x by the keyboard: + and - zoom, the arrows move, 0 shows all of it again.

import { plotly } from "./plotly.js";

const MOVES = { "+": [0.25, -0.25], "=": [0.25, -0.25], "-": [-0.5, 0.5], ArrowLeft: [-0.25, -0.25], ArrowRight: [0.25, 0.25] }; // of what is shown

// `name` is what the chart is called; `reset` shows all. What a key does is told to the plot as a drag would be.
export function zoomByKeys(plot, name, reset) {
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", `${name}: plus and minus zoom, arrows move, 0 shows all`);
  plot.addEventListener("keydown", async (event) => {
    if (event.target !== plot || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "0" && !(event.key in MOVES)) return;
    event.preventDefault();
    if (event.key === "0") return void reset();
    const [low, high] = moved(plot._fullLayout.xaxis, MOVES[event.key]);
    (await plotly()).relayout(plot, { "xaxis.range[0]": low, "xaxis.range[1]": high });
  });
}

// The ends of the range, moved by these shares of it; on an axis of times and of logarithms too.
function moved(axis, shares) {
  const [low, high] = axis.range.map((end) => axis.r2l(end));
  return [low, high].map((end, at) => axis.l2r(end + shares[at] * (high - low)));
}
