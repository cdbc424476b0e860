// What all parts of the script share. The files in this folder are one script, in one block.
const find = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const behavior = calm ? "auto" : "smooth";

document.body.classList.add("tabbed");
all(".bar, .tools, .filters").forEach((item) => { item.hidden = false; });

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

// The last index whose value is not above the limit, in a list that grows; -1 before the first.
function lastUpTo(values, limit) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// A reader's choice outlives the page where the browser allows it to.
const themes = ["auto", "light", "dark"];
function useTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  find("theme").textContent = `Theme: ${name}`;
}
function keep(name) {
  try { localStorage.setItem("stope-theme", name); } catch { /* files may have no storage */ }
}
function kept() {
  try { return localStorage.getItem("stope-theme"); } catch { return null; }
}
let theme = themes.includes(kept()) ? kept() : "auto";
useTheme(theme);
find("theme").addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  useTheme(theme);
  keep(theme);
});
