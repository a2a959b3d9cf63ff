// [data-copies="id"] copies the text of that element and says so for a moment.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copies);
  const done = (await write(source.textContent.trim())) || select(source);
  const label = button.querySelector("[data-label]") ?? button;
  const before = label.textContent;
  label.textContent = done ? "Copied" : "Press Ctrl C";
  setTimeout(() => { label.textContent = before; }, 1600);
});

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // plain http on another host: browsers keep the clipboard for secure pages
  }
}

function select(element) {
  getSelection().selectAllChildren(element);
  return false;
}
