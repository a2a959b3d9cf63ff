// <details class="menu"> closes by Escape and by a click elsewhere; arrows walk its list. The nav sheet on a phone.
const items = (menu) => [...menu.querySelectorAll(".menu-list :is(a, button, input, select)")];

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("details.menu[open]");
  if (!menu) return;
  if (event.key === "Escape") {
    menu.open = false;
    menu.querySelector("summary").focus();
    event.stopPropagation();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    walk(menu, event.key === "ArrowDown" ? 1 : -1);
    event.preventDefault();
  }
});

function walk(menu, by) {
  const all = items(menu);
  const next = all.indexOf(document.activeElement) + by;
  all.at(Math.min(Math.max(next, 0), all.length - 1))?.focus();
}

// The sheet works by :target alone; with a script the address stays clean and the focus moves.
const nav = document.getElementById("nav");

function show(open) {
  nav.classList.toggle("open", open);
  document.querySelector(".sheet-open")?.setAttribute("aria-expanded", String(open));
  (open ? nav.querySelector("a") : document.querySelector(".sheet-open"))?.focus();
}

document.addEventListener("click", (event) => {
  if (!nav) return;
  const opener = event.target.closest(".sheet-open, .sheet-close");
  if (opener) {
    event.preventDefault();
    show(opener.matches(".sheet-open"));
  } else if (nav.classList.contains("open") && !nav.contains(event.target)) show(false);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && nav?.classList.contains("open")) show(false);
});
