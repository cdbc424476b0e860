const help = find("help");
find("keys").addEventListener("click", () => help.showModal());

function chosenClaim() {
  const item = document.activeElement?.closest(".claim");
  return item && document.activeElement === item ? item : null;
}

function moveTo(step) {
  select("claims");
  const shown = claims.map((entry) => entry.item)
    .filter((item) => !item.hidden && !item.closest("details.folded:not([open])"));
  if (!shown.length) return;
  const at = shown.indexOf(document.activeElement?.closest(".claim"));
  const next = at < 0 ? (step > 0 ? 0 : shown.length - 1) : Math.min(shown.length - 1, Math.max(0, at + step));
  shown[next].focus({ preventScroll: true });
  shown[next].scrollIntoView({ block: "center", behavior });
}

function playChosen(item) {
  const quote = item.querySelector("button.quote[data-start]") ?? item.querySelector("button.quote");
  if (quote) playFrom(quote);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const target = event.target;
  if (event.key === "Escape" && target === search) {
    search.value = "";
    apply();
    search.blur();
    return;
  }
  const writes = target.matches("input, textarea, select");
  if (writes) return;
  const chosen = chosenClaim();
  const presses = target.matches("button, a, summary, audio");
  const deeds = {
    j: () => moveTo(1),
    k: () => moveTo(-1),
    "/": () => search.focus(),
    "?": () => help.showModal(),
    ArrowLeft: () => { audio.currentTime = Math.max(0, audio.currentTime - 5); },
    ArrowRight: () => { audio.currentTime = Math.min(total(), audio.currentTime + 5); },
  };
  if (chosen) {
    deeds.ArrowDown = () => moveTo(1);
    deeds.ArrowUp = () => moveTo(-1);
    deeds.Enter = () => playChosen(chosen);
  }
  if (!presses && !silent) {
    deeds[" "] = () => (chosen && !chosen.classList.contains("playing") ? playChosen(chosen) : pauseOrGo());
  }
  const deed = deeds[event.key];
  if (!deed) return;
  event.preventDefault();
  deed();
});
