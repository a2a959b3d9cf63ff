// Loads Plotly out of the wheel when it is first needed, in a way that a Content-Security-Policy without 'unsafe-inline' accepts.

// Plotly and the map library inside it put <style> elements into the page unless elements with these ids are there. Plotly's
// rules stand in css/plotly.css; the map library draws nothing here.
const STYLE_IDS = ["plotly.js-style-global", "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53"];

// <html data-plotly> names the address under which browsers keep the file.
let loading;

export function plotly() {
  loading ??= load();
  return loading;
}

function load() {
  for (const id of STYLE_IDS) claimStyle(id);
  acceptStyleAttributes();
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.documentElement.dataset.plotly ?? new URL("../plotly.min.js", import.meta.url);
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("The chart library did not load. Reload the page."));
    document.head.append(script);
  });
}

function claimStyle(id) {
  if (document.getElementById(id)) return;
  const claim = document.createElement("meta");
  claim.id = id;
  claim.className = "no-inline-styles";
  document.head.append(claim);
}

// Text with markup (exponents on a log axis) sets `style` as an attribute, which the policy refuses; the same
// declarations set through the CSS object model are allowed.
function acceptStyleAttributes() {
  const setAttribute = Element.prototype.setAttribute;
  SVGElement.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}
