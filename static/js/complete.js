// Completion of a query: a combobox as in ARIA 1.2. The focus stays in the field, arrows move through the list below it.
// The field that has data-completions asks that address; without this script it is a plain field.

const WAIT_MS = 120;
const field = document.querySelector("input[data-completions]");
const list = document.createElement("ul");
const status = document.createElement("span");
let found = { start: 0, end: 0, items: [] };
let chosen = -1;
let waiting = 0;
let asked = null;

if (field) prepare();

function prepare() {
  list.id = `${field.id}-options`;
  list.className = "options";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "What may follow");
  list.hidden = true;
  status.className = "unseen";
  status.setAttribute("role", "status");
  status.id = `${field.id}-status`;
  field.after(list, status);
  const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
  for (const [name, value] of Object.entries(attributes)) field.setAttribute(name, value);
  field.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(ask, WAIT_MS); });
  field.addEventListener("click", () => { if (!list.hidden) ask(); });
  field.addEventListener("keydown", pressed);
  field.addEventListener("blur", close);
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) pick(Number(option.dataset.place));
  });
}

async function ask() {
  asked?.abort();
  const mine = (asked = new AbortController());
  const address = new URL(field.dataset.completions, location.href);
  address.searchParams.set("q", field.value);
  address.searchParams.set("at", [...field.value.slice(0, field.selectionStart)].length);
  try {
    const answer = await fetch(address, { signal: mine.signal, headers: { Accept: "application/json" } });
    if (answer.ok && mine === asked && document.activeElement === field) show(await answer.json());
  } catch (error) {
    if (error.name !== "AbortError") close();
  }
}

function show(answer) {
  found = answer;
  chosen = -1;
  list.replaceChildren(...found.items.map(option));
  list.hidden = found.items.length === 0;
  field.setAttribute("aria-expanded", String(!list.hidden));
  field.removeAttribute("aria-activedescendant");
  const count = found.items.length;
  status.textContent = count ? `${count} suggestion${count === 1 ? "" : "s"}, use the arrow keys` : "No suggestion";
}

function option(item, place) {
  const row = document.createElement("li");
  row.id = `${list.id}-${place}`;
  row.dataset.place = place;
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", "false");
  const kind = document.createElement("small");
  kind.textContent = item.kind;
  row.append(item.label, kind);
  return row;
}

function close() {
  clearTimeout(waiting);
  asked?.abort();
  list.hidden = true;
  chosen = -1;
  status.textContent = "";
  field.setAttribute("aria-expanded", "false");
  field.removeAttribute("aria-activedescendant");
}

function pressed(event) {
  const keys = { ArrowDown: () => move(1), ArrowUp: () => move(-1), Enter: take, Tab: take, Escape: leave };
  if (!event.isComposing && !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey && keys[event.key]?.()) {
    event.preventDefault();
    event.stopPropagation();
  }
}

function move(by) {
  if (list.hidden) {
    ask();
    return true;
  }
  const count = found.items.length;
  choose(chosen < 0 && by < 0 ? count - 1 : (chosen + by + count) % count);
  return true;
}

function choose(place) {
  chosen = place;
  for (const row of list.children) row.setAttribute("aria-selected", String(Number(row.dataset.place) === place));
  field.setAttribute("aria-activedescendant", list.children[place].id);
  list.children[place].scrollIntoView({ block: "nearest" });
}

// Enter and Tab take the chosen one; with none chosen they do what they always do.
function take() {
  if (list.hidden || chosen < 0) {
    close();
    return false;
  }
  pick(chosen);
  return true;
}

function leave() {
  if (list.hidden) return false;
  close();
  return true;
}

// The places of an answer count characters, those of the field UTF-16 units.
function pick(place) {
  const text = [...field.value];
  const before = text.slice(0, found.start).join("") + found.items[place].text;
  field.value = before + text.slice(found.end).join("");
  field.setSelectionRange(before.length, before.length);
  close();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
