// One event stream of a run, with no gap: the browser reconnects by itself and says the last id it saw; where the server
// can't go on from there (`reset`), or the connection had to be made anew, the page reads everything again.

const TYPES = ["points", "media", "log", "state", "rewind", "artifacts"];
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 8000;

// `handlers` maps an event type to a function of its data. The stream goes on after the event `after`, the last one when the
// page was made. `reset` is called whenever events may have been missed, `status` with "live" or "away". Returns a function that
// closes the stream.
export function follow(url, after, handlers) {
  let source, timer, wait = FIRST_RETRY_MS;

  function open(place) {
    source = new EventSource(place ? `${url}?after=${place}` : url);
    source.onopen = () => { wait = FIRST_RETRY_MS; handlers.status?.("live"); };
    source.onerror = () => { handlers.status?.("away"); if (source.readyState === EventSource.CLOSED) retry(); };
    source.addEventListener("hello", () => handlers.reset());
    source.addEventListener("reset", () => handlers.reset());
    for (const type of TYPES) source.addEventListener(type, (event) => handlers[type]?.(JSON.parse(event.data)));
  }

  // After an HTTP error the browser gives up for good, so the page tries again, ever more slowly.
  function retry() {
    clearTimeout(timer);
    timer = setTimeout(open, wait); // without a place: `hello`, and all is read again
    wait = Math.min(wait * 2, LONGEST_RETRY_MS);
  }

  open(after);
  addEventListener("pagehide", () => source.close(), { once: true });
  return () => { clearTimeout(timer); source.close(); };
}
