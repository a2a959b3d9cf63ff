// [data-opens="id"] opens the <dialog> of that id; [data-closes] closes the one around it. A link with
// hx-target="#dialog" loads its page's fragment into the shared dialog, which opens as soon as it has content.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.dataset.opens).showModal();
    return;
  }
  const dialog = event.target.closest("dialog");
  if (!dialog) return;
  if (event.target.closest("[data-closes]")) {
    event.preventDefault();
    dialog.close();
  } else if (event.target === dialog) dialog.close(); // the backdrop
});

document.addEventListener("htmx:afterSwap", (event) => {
  const dialog = event.detail.target;
  if (dialog.id === "dialog" && !dialog.open) dialog.showModal();
});
