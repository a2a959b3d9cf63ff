// [data-download="png"] or "svg" saves the panel's chart as it is drawn, on the ground of the present theme.

import { plotly } from "./plotly.js";
import { token } from "./figure.js";

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-download]");
  if (!button) return;
  const panel = button.closest(".panel");
  const plot = panel.querySelector("[data-figure]");
  if (!plot.data) return; // not drawn yet
  const Plotly = await plotly();
  await Plotly.downloadImage(
    { data: plot.data, layout: { ...plot.layout, paper_bgcolor: token("--surface") } },
    { format: button.dataset.download, filename: panel.id, width: plot.clientWidth, height: plot.clientHeight, scale: 2 },
  );
});
