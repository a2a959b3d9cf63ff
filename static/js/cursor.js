// One cursor over all charts of a page: where one of them is pointed at, the others show the same x and their value there.

const charts = new Set();

// `chart`: { plot, readout(x) -> text or "" }, with x in the units in which Plotly's axis counts.
export function join(chart) {
  charts.add(chart);
  chart.plot.on("plotly_hover", ({ xvals }) => xvals && show(chart, Number(xvals[0])));
  chart.plot.on("plotly_unhover", hide);
}

export function leave(chart) {
  charts.delete(chart);
}

export function show(from, x) {
  for (const chart of charts) if (chart !== from) place(chart, x);
}

export function hide() {
  for (const { plot } of charts) if (plot.cursorLine) plot.cursorLine.hidden = true;
}

function place(chart, x) {
  const { plot } = chart;
  const axis = plot._fullLayout?.xaxis;
  const box = plot.getBoundingClientRect();
  if (!axis || box.bottom < 0 || box.top > innerHeight) return;
  const line = (plot.cursorLine ??= plot.appendChild(Object.assign(document.createElement("div"), { className: "cursor-line" })));
  const at = axis.c2p(x);
  line.hidden = !(at >= 0 && at <= axis._length);
  if (line.hidden) return;
  const { _offset: top, _length: height } = plot._fullLayout.yaxis;
  Object.assign(line.style, { left: `${axis._offset + at}px`, top: `${top}px`, height: `${height}px` });
  line.dataset.value = chart.readout(x);
  line.classList.toggle("to-left", at > axis._length * 0.7);
}
