// The form of a new run, or of a new sweep: choosing a model, a method, ... swaps in its fields; typing brings the plan up to date.

const PLAN_AFTER_MS = 350;
let timer;

const form = () => document.querySelector("form.new-run");

function planSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => document.getElementById("plan") && htmx.trigger("#plan", "plan"), PLAN_AFTER_MS);
}

function swap(what) {
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

// An answer of 422 is the form again, with its errors.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status === 422) { event.detail.shouldSwap = true; event.detail.isError = false; }
});

document.querySelector("form.new-run [aria-invalid]")?.focus();
