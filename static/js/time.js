// <time data-relative datetime="..."> counts on by itself ("4 s ago"), in the words of the template filter.
const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [2592000, 86400, "d"]];

export function ago(seconds) {
  if (seconds < 1) return "now";
  for (const [limit, unit, word] of STEPS) if (seconds < limit) return `${Math.floor(seconds / unit)} ${word} ago`;
  return null;
}

function refresh() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const text = ago((Date.now() - Date.parse(element.dateTime)) / 1000);
    if (text !== null && element.textContent !== text) element.textContent = text;
  }
}

setInterval(refresh, 1000);
