// How charts are drawn, as the address says it: a link shows the same to everybody. Where the address says nothing, the
// project's layout counts (the server tells it), and without one what this reader chose last.

const DEFAULTS = { x: "step", smoothing: 0.6, logX: false, logY: false, clip: false, pin: [], log: [], wide: [] };
const NAMES = { logX: "log_x", logY: "log_y" }; // in the address
const LISTS = ["pin", "log", "wide"];
const REMEMBERED = "hone.charts";

// `told`: what the server read from the address or a layout, as JSON, or "".
export function readSettings(told) {
  if (!told) return { ...structuredClone(DEFAULTS), ...JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}") };
  const { log_x: logX, log_y: logY, ...others } = JSON.parse(told);
  return { ...structuredClone(DEFAULTS), ...others, logX, logY };
}

export function keepSettings(settings) {
  const own = Object.fromEntries(Object.entries(settings).filter(([name]) => !LISTS.includes(name)));
  localStorage.setItem(REMEMBERED, JSON.stringify(own));
  writeAddress(settings);
}

// The query of an address: x always, so that it says something, and else what is not as usual.
export function queryOf(settings) {
  const query = new URLSearchParams({ x: settings.x });
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (LISTS.includes(name)) for (const metric of settings[name]) query.append(name, metric);
    else if (name !== "x" && settings[name] !== usual) query.set(NAMES[name] ?? name, usual === false ? "1" : settings[name]);
  }
  return query;
}

export function isUsual(settings) {
  return queryOf(settings).toString() === queryOf(DEFAULTS).toString();
}

export function writeAddress(settings) {
  const query = new URLSearchParams(location.search);
  for (const name of [...Object.keys(DEFAULTS), ...Object.values(NAMES), "layout"]) query.delete(name);
  for (const [name, value] of queryOf(settings)) query.append(name, value);
  history.replaceState(history.state, "", `?${query}${location.hash}`);
}
