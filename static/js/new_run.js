// The form of a new run, or of a new sweep: choosing a model, a method, ... swaps in its fields; typing brings the plan up to date.

const PLAN_AFTER_MS = 350;
let timer;

const form = () => document.querySelector("form.new-run");

function planSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => document.getElementById("plan") && htmx.trigger("#plan", "plan"), PLAN_AFTER_MS);
}

// A choice that is made before an earlier one is answered overtakes it: htmx sends it next, and it knows of both.
let asked = 0;
let begun = 0;

function swap(what) {
  asked += 1;
  return htmx.ajax("POST", form().action, { source: form(), target: `#${form().id}`, swap: "outerHTML", values: { do: what } });
}

document.addEventListener("input", (event) => { if (event.target.closest("form.new-run") && !event.target.matches("[type=file]")) planSoon(); });

document.addEventListener("change", (event) => {
  if (event.target.matches("form.new-run [data-chooses]")) swap("refresh");
  if (event.target.matches("form.new-run input[type=file]") && event.target.files.length) swap("upload");
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("form.new-run button[data-swaps]");
  if (!button) return;
  event.preventDefault();
  swap(button.value);
});

document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt === form()) begun = asked; });

// An answer of 422 is the form again, with its errors.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status === 422) { event.detail.shouldSwap = true; event.detail.isError = false; }
  if (event.detail.target === form() && begun !== asked) event.detail.shouldSwap = false;
});

document.querySelector("form.new-run [aria-invalid]")?.focus();
