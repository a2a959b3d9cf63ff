// The table of fits: what is ticked is what Compare compares.

const chosen = new Set();

document.addEventListener("change", ({ target }) => {
  if (!target.matches(".table.fit-rows input[name=fits]")) return;
  if (target.checked) chosen.add(target.value);
  else chosen.delete(target.value);
  mark();
});

// The table is swapped as it is read again: the ticks stay.
document.addEventListener("htmx:afterSettle", () => {
  for (const box of document.querySelectorAll(".table.fit-rows input[name=fits]")) box.checked = chosen.has(box.value);
  mark();
});

function mark() {
  for (const box of document.querySelectorAll(".table.fit-rows input[name=fits]"))
    box.closest("tr").classList.toggle("selected", box.checked);
  const link = document.getElementById("compare-fits");
  if (link) link.href = `${link.pathname}${chosen.size ? `?fits=${[...chosen].join(",")}` : ""}`;
}
