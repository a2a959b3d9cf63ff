// What is drawn as a file: a button with data-download="png" or "svg" in a panel, on the ground of the present theme.

import { plotly } from "./plotly.js";
import { token } from "./figure.js";

const pictures = new WeakMap(); // plots that are drawn otherwise than by Plotly tell what to put into the file

export function setPicture(plot, traces) {
  pictures.set(plot, traces);
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-download]");
  if (!button) return;
  const panel = button.closest(".panel");
  const plot = panel.querySelector(".plot");
  if (!plot.data) return; // not drawn yet
  const Plotly = await plotly();
  const layout = { ...plot.layout, paper_bgcolor: token("--surface") };
  await Plotly.downloadImage(
    { data: pictures.get(plot)?.() ?? plot.data, layout },
    { format: button.dataset.download, filename: fileName(panel), width: plot.clientWidth, height: plot.clientHeight, scale: 2 },
  );
});

function fileName({ id, dataset }) {
  return id || `${dataset.metric ?? "chart"}`.replace(/[^A-Za-z0-9._-]+/g, "-");
}
