// <form data-submits> sends itself when a select in it changes; its own button is for those without a script.
document.addEventListener("change", (event) => {
  event.target.closest("form[data-submits]")?.requestSubmit();
});
