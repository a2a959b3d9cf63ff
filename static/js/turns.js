// Work on charts in turn: as much in one frame as leaves the page quick, so that the first chart is seen before the last is drawn.

const BUDGET_MS = 12;
const waiting = [];
let frame;

// `work`: a function. What is asked first is done first.
export function inTurn(work) {
  waiting.push(work);
  frame ??= requestAnimationFrame(go);
}

function go() {
  const began = performance.now();
  do waiting.shift()();
  while (waiting.length && performance.now() - began < BUDGET_MS);
  frame = waiting.length ? requestAnimationFrame(go) : undefined;
}
