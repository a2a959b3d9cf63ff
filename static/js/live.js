// One event stream of a run, with no gap: the browser reconnects by itself and says the last id it saw; where the server
// can't go on from there (`reset`), or the connection had to be made anew, the page reads everything again.

const TYPES = ["points", "log", "state", "rewind", "artifacts"];
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 8000;

// `handlers` maps an event type to a function of its data. `hello` is called once, when the stream is open: what is read from
// then on has no gap to the events. `reset` is called whenever events may have been missed since, `status` with "live" or
// "away". Returns a function that closes the stream.
export function follow(url, handlers) {
  let source, timer, greeted = false, wait = FIRST_RETRY_MS;

  function greet() {
    (greeted ? handlers.reset : handlers.hello)?.();
    greeted = true;
  }

  function open() {
    source = new EventSource(url);
    source.onopen = () => { wait = FIRST_RETRY_MS; handlers.status?.("live"); };
    source.onerror = () => { handlers.status?.("away"); if (source.readyState === EventSource.CLOSED) retry(); };
    source.addEventListener("hello", greet);
    source.addEventListener("reset", greet);
    for (const type of TYPES) source.addEventListener(type, (event) => handlers[type]?.(JSON.parse(event.data)));
  }

  // After an HTTP error the browser gives up for good, so the page tries again, ever more slowly.
  function retry() {
    clearTimeout(timer);
    timer = setTimeout(open, wait);
    wait = Math.min(wait * 2, LONGEST_RETRY_MS);
  }

  open();
  addEventListener("pagehide", () => source.close(), { once: true });
  return () => { clearTimeout(timer); source.close(); };
}
