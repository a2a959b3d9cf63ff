// Messages leave by themselves after a while, errors only when dismissed; nothing leaves while it is pointed at.
const STAY_MS = 6000;

function start(toast) {
  if (toast.dataset.timed || toast.matches(".error")) return;
  toast.dataset.timed = "yes";
  const timer = setInterval(() => {
    if (toast.matches(":hover, :focus-within")) return;
    clearInterval(timer);
    toast.remove();
  }, STAY_MS);
}

/** Shows a message from a script: level is "success", "info", "warning" or "error". */
export function toast(message, level = "info") {
  const box = document.getElementById("toasts");
  const element = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
  element.classList.add(level);
  element.querySelector("p").textContent = message;
  box.append(element);
  start(element);
}

function startAll() {
  document.querySelectorAll("#toasts .toast").forEach(start);
}

document.addEventListener("click", (event) => event.target.closest(".toast .dismiss")?.closest(".toast").remove());
document.addEventListener("htmx:afterSettle", startAll);
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  toast(`The server answered ${status}. Reload the page and try again.`, "error");
});
document.addEventListener("htmx:sendError", (event) => {
  // A poll that finds no server is no news worth a message each time; a press of a button is.
  if (event.detail.requestConfig?.verb !== "get") toast("The server does not answer. Nothing was changed.", "error");
});
startAll();
