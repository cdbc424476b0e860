const tabs = all("[role=tab]");
const bar = document.querySelector(".bar");
const wide = matchMedia("(min-width: 64rem)");
// Beside something else the transcript is always there, and needs no tab.
const beside = document.querySelector("main.two") !== null;
const isWide = () => wide.matches && beside;
let selected = tabs[0].id;

function panelOf(tab) {
  return find(tab.getAttribute("aria-controls"));
}

function select(name, focus = false) {
  const tab = find(`tab-${name}`);
  if (!tab || (name === "transcript" && isWide())) return;
  selected = tab.id;
  for (const other of tabs) {
    const on = other === tab;
    other.setAttribute("aria-selected", String(on));
    other.tabIndex = on ? 0 : -1;
    panelOf(other).hidden = !on && !(isWide() && other.id === "tab-transcript");
  }
  if (focus) tab.focus();
}

function arrange() {
  bar.classList.toggle("wide", isWide());
  all(".long").forEach((summary) => { summary.open = wide.matches; });
  const name = selected.replace("tab-", "");
  select(isWide() && name === "transcript" ? tabs[0].id.replace("tab-", "") : name);
}

tabs.forEach((tab) => tab.addEventListener("click", () => {
  select(tab.id.replace("tab-", ""));
  if (bar.getBoundingClientRect().top <= 0) find("main").scrollIntoView();
  if (tab.id === "tab-transcript" && current) reveal(current, true);
}));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const shown = tabs.filter((tab) => tab.offsetParent !== null);
  const next = shown[(shown.indexOf(document.activeElement) + step + shown.length) % shown.length];
  select(next.id.replace("tab-", ""), true);
  event.preventDefault();
  event.stopPropagation();
});
wide.addEventListener("change", arrange);
arrange();

// #clm_… is a claim, #doubts a part of the page, #t=83 a second of the recording.
function goTo(hash) {
  const second = /^#t=(\d+(?:\.\d+)?)$/.exec(hash);
  if (second && !silent) {
    wanted = Number(second[1]);
    audio.currentTime = wanted;
    if (playable()) followTo(wanted);
    if (current) reveal(current, true);
    return;
  }
  const target = hash.length > 1 ? find(hash.slice(1)) : null;
  if (!target) return;
  const panel = target.closest(".panel");
  if (panel) select(panel.id);
  const folded = target.closest("details");
  if (folded) folded.open = true;
  if (target.matches(".claim")) {
    target.hidden = false;
    target.closest(".group").hidden = false;
    target.focus({ preventScroll: true });
  }
  target.scrollIntoView({ block: target.matches(".claim") ? "center" : "start" });
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (!link || link.classList.contains("skip")) return;
  event.preventDefault();
  history.replaceState(null, "", link.getAttribute("href"));
  goTo(link.getAttribute("href"));
});
addEventListener("hashchange", () => goTo(location.hash));
goTo(location.hash);
