// Elements marked data-poll ask the server only while somebody looks, and never while a menu in them is open or a
// row is being dragged: a swap would pull it from under the hand.
document.addEventListener("htmx:beforeRequest", (event) => {
  const element = event.detail.elt;
  if (!element.matches("[data-poll]")) return;
  const held = element.querySelector("details[open], .dragging") || document.querySelector("dialog[open]");
  if (document.hidden || held) event.preventDefault();
});
