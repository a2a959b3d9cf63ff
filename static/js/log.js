// The live log: lines are appended as they come; it follows the end until one scrolls up.

const MOST_LINES = 5000;
const AT_END_PX = 24;

export class Log {
  // `element` is the scrolling box; `follow` an optional checkbox.
  constructor(element, follow) {
    Object.assign(this, { element, follow });
    this.lines = element.querySelector("[data-lines]");
    element.addEventListener("scroll", () => this.noteScroll(), { passive: true });
    follow?.addEventListener("change", () => this.toEnd());
    this.noteLast();
    this.toEnd();
  }

  // Lines are numbered: what is on the page already is not added twice.
  noteLast() {
    this.last = Number(this.lines.lastElementChild?.dataset.id ?? 0);
  }

  get following() {
    return this.follow ? this.follow.checked : true;
  }

  noteScroll() {
    if (!this.follow) return;
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    this.follow.checked = scrollHeight - scrollTop - clientHeight < AT_END_PX;
  }

  toEnd() {
    if (this.following) this.element.scrollTop = this.element.scrollHeight;
  }

  // `lines`: [{ id, at, level, message }], `at` as ISO text or seconds since the epoch.
  append(lines) {
    if (this.waiting) return void this.waiting.push(...lines); // they are not in what is being read, or are and are dropped
    lines = lines.filter(({ id }) => !(id <= this.last));
    if (!lines.length) return;
    this.last = lines.at(-1).id;
    this.lines.append(...lines.map(row));
    this.element.querySelector("[data-empty]")?.remove();
    while (this.lines.childElementCount > MOST_LINES) this.lines.firstElementChild.remove();
    this.toEnd();
  }

  // Reads the tail again from the server, one time after the other: lines may have been missed.
  reread(url) {
    this.reading = (this.reading ?? Promise.resolve()).then(() => this.read(url));
  }

  async read(url) {
    this.waiting = [];
    const answer = await fetch(url, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (answer?.ok) this.show(await answer.text());
    const { waiting } = this;
    this.waiting = null;
    this.append(waiting);
  }

  show(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const lines = page.querySelector("[data-lines]");
    if (lines) this.lines.replaceChildren(...lines.children);
    if (lines?.childElementCount) this.element.querySelector("[data-empty]")?.remove();
    localTimes(this.lines);
    this.noteLast();
    this.toEnd();
  }
}

function row({ id, at, level, message }) {
  const line = document.createElement("div");
  line.className = `line line-${level}`;
  line.dataset.id = id;
  const time = document.createElement("time");
  const moment = new Date(typeof at === "number" ? at * 1000 : at);
  time.dateTime = moment.toISOString();
  time.textContent = moment.toLocaleTimeString("en-GB");
  const text = document.createElement("span");
  text.textContent = message;
  line.append(time, text);
  return line;
}

// Server-rendered times are UTC; show them in the reader's zone like the live ones.
export function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime][data-clock]"))
    time.textContent = new Date(time.dateTime).toLocaleTimeString("en-GB");
}
