// Drag a waiting run to its place. Without a mouse, or without a script, the arrows of the row do the same.
let dragged = null;

const rowOf = (event) => event.target.closest?.("tbody[data-order] > tr[data-position]");

document.addEventListener("pointerdown", (event) => {
  const row = rowOf(event);
  if (row?.dataset.move) row.draggable = !event.target.closest("a, button");
});

document.addEventListener("dragstart", (event) => {
  dragged = rowOf(event);
  dragged?.classList.add("dragging");
});

document.addEventListener("dragover", (event) => {
  const over = rowOf(event);
  if (!dragged || !over || over.parentElement !== dragged.parentElement) return;
  event.preventDefault();
  const below = event.clientY > over.getBoundingClientRect().top + over.offsetHeight / 2;
  if (over !== dragged) over[below ? "after" : "before"](dragged);
});

document.addEventListener("drop", (event) => {
  if (dragged) event.preventDefault();
});

document.addEventListener("dragend", () => {
  if (!dragged) return;
  const row = dragged;
  dragged = null;
  row.classList.remove("dragging");
  const position = [...row.parentElement.querySelectorAll("tr[data-position]")].indexOf(row) + 1;
  if (position === Number(row.dataset.position)) return;
  window.htmx.ajax("POST", row.dataset.move, { target: "#queue", swap: "outerHTML", values: { position } });
});
