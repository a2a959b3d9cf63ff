// The look of every figure. Colours and fonts come from tokens.css: a figure names a variable ("--series-1",
// "--series-1/0.3") and it is resolved here, again after every change of theme.

const VARIABLE = /^(--[a-z0-9-]+)(?:\/([0-9.]+))?$/;
const canvas = document.createElement("canvas").getContext("2d");

export const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset+autosize", scrollZoom: false };

export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function colour(name, alpha = 1) {
  canvas.fillStyle = token(name);
  const hex = canvas.fillStyle;
  return alpha >= 1 ? hex : hex + Math.round(alpha * 255).toString(16).padStart(2, "0");
}

// A copy of a figure with every variable replaced by its value in the present theme.
export function resolve(value) {
  if (typeof value === "string") return resolveText(value);
  if (Array.isArray(value)) return isNumbers(value) ? value : value.map(resolve);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item)]));
  return value;
}

// Long lists of numbers are left as they are; a stop of a colour scale, [0.5, "--accent"], is not one.
function isNumbers(list) {
  return typeof list[0] === "number" && typeof list[1] !== "string";
}

function resolveText(text) {
  const match = VARIABLE.exec(text);
  if (!match) return text;
  return match[1].startsWith("--font") ? token(match[1]) : colour(match[1], Number(match[2] ?? 1));
}

// Calls back after every change of theme: the switch in the menu, or the system's own.
export function onThemeChange(callback) {
  document.addEventListener("themechange", () => requestAnimationFrame(callback));
}

const WIDE = 600; // from here on a logarithmic axis has room for powers of ten alone

// Labels of a logarithmic axis over these values: a few plain numbers where they stay short. Left alone, Plotly crowds small
// digits between powers of ten.
export function logTicks(values) {
  let low = Infinity, high = 0;
  for (const value of values) if (value > 0 && value < Infinity) { if (value < low) low = value; if (value > high) high = value; }
  return low >= 1e-4 && high < 1e6 && high < WIDE * low ? { nticks: 4, tickformat: "~g" } : {};
}

// A line chart: no box, horizontal hairlines, titles with units.
export function lineLayout({ x, y = "", logX = false, logY = false, date = false, shapes = [] }) {
  const title = (text, standoff) => ({ text, standoff, font: { size: 11, color: "--ink-3" } });
  return {
    margin: { l: 54, r: 16, t: 6, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "--font-text", size: 11, color: "--ink-2" },
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: "--surface", bordercolor: "--rule", font: { family: "--font-data", size: 11, color: "--ink" } },
    dragmode: "zoom",
    xaxis: {
      title: title(x, 8), type: date ? "date" : logX ? "log" : "linear", showgrid: false, zeroline: false,
      linecolor: "--rule", ticks: "outside", ticklen: 4, tickcolor: "--rule",
    },
    yaxis: {
      title: title(y, 4), type: logY ? "log" : "linear", gridcolor: "--rule", gridwidth: 1, zeroline: false,
      fixedrange: true, exponentformat: "power", tickcolor: "--rule",
    },
    shapes,
  };
}
