// A control with data-theme-choice="light|dark|system" sets the theme; charts hear "themechange" on the document.
const root = document.documentElement;

function chosen() {
  return root.dataset.theme ?? "system";
}

function choose(theme) {
  if (theme === "system") {
    delete root.dataset.theme;
    localStorage.removeItem("theme");
  } else {
    root.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }
  mark();
  document.dispatchEvent(new CustomEvent("themechange"));
}

function mark() {
  for (const control of document.querySelectorAll("[data-theme-choice]")) {
    control.setAttribute("aria-pressed", String(control.dataset.themeChoice === chosen()));
  }
}

document.addEventListener("click", (event) => {
  const control = event.target.closest("[data-theme-choice]");
  if (control) choose(control.dataset.themeChoice);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (chosen() === "system") document.dispatchEvent(new CustomEvent("themechange"));
});
mark();
