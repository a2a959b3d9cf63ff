// Blocking, before the first paint: the chosen theme, and a class that says scripts run.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* storage may be forbidden: the system's theme stands */ }
document.documentElement.classList.add("scripted");
