// The page of a study: its numbers are read again every few seconds, its figures only when these tell something new.

import "./charts.js";

const news = () => document.getElementById("study-progress")?.dataset.news;
let told = news();
document.addEventListener("htmx:afterSettle", () => {
  if (news() === told) return;
  told = news();
  for (const plot of document.querySelectorAll("[data-figure]")) plot.dispatchEvent(new Event("hone:refresh"));
});
