// The choice of columns: what is ticked below goes to the end of those shown, and the arrows move one among them.

document.addEventListener("change", (event) => {
  const box = event.target;
  if (!box.checked || !box.matches("#columns-found input[name=column]")) return;
  const list = document.getElementById("columns-shown");
  const label = box.getAttribute("aria-label") ?? box.closest("label").textContent.trim();
  list.append(line(box.value, label));
  box.closest("label").remove();
  list.lastElementChild.querySelector("input").focus();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("#columns-shown [data-move]");
  if (!button) return;
  event.preventDefault();
  const row = button.closest("li");
  if (button.dataset.move === "1") row.nextElementSibling?.after(row);
  else row.previousElementSibling?.before(row);
  button.focus();
});

function line(name, label) {
  const row = document.createElement("li");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "column", value: name, checked: true });
  const text = document.createElement("label");
  text.append(box, ` ${label}`);
  row.append(text, arrow("-1", "↑", `Move ${label} to the left`), arrow("1", "↓", `Move ${label} to the right`));
  return row;
}

function arrow(by, sign, label) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button quiet icon", textContent: sign });
  button.dataset.move = by;
  button.setAttribute("aria-label", label);
  return button;
}
