// Many lines painted on a canvas between Plotly's grid and its labels: a hundred lines of a thousand points take a few milliseconds, where as
// many traces take a second. Plotly keeps what it is good at: axes, zoom, pan, and files.

// `plot` is drawn by Plotly already. `lines`: { x, y, colour, width, dashed?, lower?, upper?, fill? } with x, y as on the axes
// (logarithms are taken here). Returns how many milliseconds it took.
export function paint(plot, lines, { name = "lines" } = {}) {
  const began = performance.now();
  const { xaxis, yaxis } = plot._fullLayout;
  const canvas = canvasOf(plot, name);
  const scale = devicePixelRatio || 1;
  fit(canvas, xaxis, yaxis, scale);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, xaxis._length, yaxis._length);
  context.lineJoin = "round";
  const across = placer(xaxis), up = placer(yaxis);
  for (const line of lines) if (line.lower) fill(context, line, across, up);
  for (const line of lines) stroke(context, line, across, up);
  return performance.now() - began;
}

// A function from a value to its pixel on an axis; what a logarithm can't show is NaN.
export function placer(axis) {
  const isLog = axis.type === "log";
  const [first, last] = axis.range.map((end) => axis.r2l(end));
  const factor = axis._length / (last - first);
  const isUp = axis._id === "y";
  return (value) => {
    const at = ((isLog ? Math.log10(value) : value) - first) * factor;
    const pixel = isUp ? axis._length - at : at;
    return Number.isFinite(pixel) ? pixel : NaN;
  };
}

function canvasOf(plot, name) {
  const there = plot.querySelector(`canvas[data-layer="${name}"]`);
  if (there) return there;
  const canvas = document.createElement("canvas");
  canvas.className = "plot-canvas";
  canvas.dataset.layer = name;
  const container = plot.querySelector(".svg-container");
  const [, above] = container.querySelectorAll(":scope > svg.main-svg"); // Plotly's second one: what it shows on pointing
  return container.insertBefore(canvas, above); // on the grid, and a later layer on the earlier ones
}

function fit(canvas, xaxis, yaxis, scale) {
  const [width, height] = [Math.round(xaxis._length * scale), Math.round(yaxis._length * scale)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  Object.assign(canvas.style, { left: `${xaxis._offset}px`, top: `${yaxis._offset}px`, width: `${xaxis._length}px`, height: `${yaxis._length}px` });
}

function stroke(context, { x, y, colour, width, dashed }, across, up) {
  context.beginPath();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dashed ? [4, 3] : []);
  let isDown = false;
  for (let i = 0; i < x.length; i++) {
    const px = across(x[i]), py = up(y[i]);
    if (Number.isNaN(px) || Number.isNaN(py)) { isDown = false; continue; }
    if (isDown) context.lineTo(px, py);
    else context.moveTo(px, py);
    isDown = true;
  }
  context.stroke();
  if (x.length === 1) context.strokeRect(across(x[0]) - 1, up(y[0]) - 1, 2, 2);
}

function fill(context, { x, lower, upper, fill: colour }, across, up) {
  const shown = [...x.keys()].filter((i) => ![across(x[i]), up(lower[i]), up(upper[i])].some(Number.isNaN));
  context.beginPath();
  context.fillStyle = colour;
  for (const i of shown) context.lineTo(across(x[i]), up(upper[i]));
  for (const i of shown.reverse()) context.lineTo(across(x[i]), up(lower[i]));
  context.fill();
}

// The line nearest to a pixel of the plot, and its point: { line, index, distance } or null.
export function nearest(plot, lines, px, py, within = 24) {
  const { xaxis, yaxis } = plot._fullLayout;
  const across = placer(xaxis), up = placer(yaxis);
  let best = null;
  lines.forEach((line, place) => {
    const index = closest(line.x, px, across);
    for (let i = Math.max(0, index - 3); i < Math.min(line.x.length, index + 4); i++) {
      const distance = Math.hypot(across(line.x[i]) - px, up(line.y[i]) - py);
      if (distance <= within && !(distance >= best?.distance)) best = { line: place, index: i, distance };
    }
  });
  return best;
}

// The index at which x is nearest to a pixel: by halving where x ascends, else by looking at each.
function closest(x, px, across) {
  if (x.length && x[0] <= x[x.length - 1] && (x.ascends ??= x.every((value, i) => !i || x[i - 1] <= value))) {
    let low = 0, high = x.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (across(x[middle]) < px) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  let best = 0;
  for (let i = 1; i < x.length; i++) if (Math.abs(across(x[i]) - px) < Math.abs(across(x[best]) - px)) best = i;
  return best;
}
