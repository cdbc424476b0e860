const search = find("search");
const claims = all(".claim").map((item) => ({
  item,
  text: all("h4, q, .why p, .voice, .kind", item).map((part) => part.textContent).join(" ").toLowerCase(),
  folded: item.closest(".folded"),
}));
const ideas = all(".idea").map((item) => ({ item, text: item.textContent.toLowerCase() }));
const readings = pane ? all(".line > p", pane).map((item) => ({
  item,
  // What was said, without the speaker's name and the numbers of claims.
  text: all("[data-word]", item).map((run) => run.textContent).join(" ").toLowerCase(),
})) : [];
const kinds = ["tier", "type", "speaker", "theme"];
const hits = paint ? { all: new Highlight(), one: new Highlight() } : null;
if (hits) {
  hits.one.priority = 1;
  CSS.highlights.set("hits", hits.all);
  CSS.highlights.set("hit", hits.one);
}
let found = [];
let place = -1;

function apply() {
  const text = search.value.trim().toLowerCase();
  const words = text.split(/\s+/).filter(Boolean);
  const fits = (entry) => words.every((word) => entry.text.includes(word));
  const chosen = Object.fromEntries(kinds.map((kind) => [
    kind, all(`[data-filter=${kind}][aria-pressed=true]`).map((button) => button.value),
  ]));
  const filtered = kinds.some((kind) => chosen[kind].length);
  for (const entry of claims) {
    entry.item.hidden = !fits(entry) || kinds.some((kind) => chosen[kind].length
      && !entry.item.dataset[kind].split(" ").some((value) => chosen[kind].includes(value)));
  }
  ideas.forEach((entry) => { entry.item.hidden = !fits(entry); });
  for (const group of all(".group")) {
    const shown = all(".claim:not([hidden])", group).length;
    group.hidden = shown === 0;
    const size = group.querySelector(".size");
    if (size) size.textContent = shown < Number(size.dataset.all) ? `${shown} of ${size.dataset.all}` : size.dataset.all;
  }
  const open = claims.filter((entry) => !entry.folded);
  const shown = open.filter((entry) => !entry.item.hidden).length;
  const marks = new Set(claims.filter((entry) => !entry.item.hidden).map((entry) => entry.item.id));
  all(".mark").forEach((mark) => { mark.style.visibility = marks.has(mark.dataset.claim) ? "" : "hidden"; });
  if (find("shown")) {
    find("shown").textContent = filtered || words.length ? `${shown} of ${open.length} claims` : "";
    find("clear").hidden = !filtered;
    find("nothing").hidden = !(claims.length && claims.every((entry) => entry.item.hidden));
  }
  findInTranscript(text);
}

function findInTranscript(text) {
  all(".hit-line").forEach((line) => line.classList.remove("hit-line"));
  hits?.all.clear();
  hits?.one.clear();
  found = text.length > 1 ? readings.filter((entry) => entry.text.includes(text)) : [];
  place = -1;
  const says = text.length > 1 && pane;
  find("hits").textContent = says ? `${found.length} in the transcript` : "";
  find("next").hidden = find("previous").hidden = !found.length;
  // Painting thousands of places would be slow, and nobody sees them at once.
  if (hits) found.slice(0, 500).forEach(({ item }) => rangesOf(item, text).forEach((range) => hits.all.add(range)));
}

function rangesOf(item, text) {
  const ranges = [];
  for (const node of all("[data-word]", item).map((run) => run.firstChild).filter(Boolean)) {
    const body = node.data.toLowerCase();
    if (body.length !== node.data.length) continue;
    for (let at = body.indexOf(text); at >= 0; at = body.indexOf(text, at + text.length)) {
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + text.length);
      ranges.push(range);
    }
  }
  return ranges;
}

function goToHit(step) {
  if (!found.length) return;
  place = (place + step + found.length) % found.length;
  const { item } = found[place];
  all(".hit-line").forEach((line) => line.classList.remove("hit-line"));
  item.parentElement.classList.add("hit-line");
  find("hits").textContent = `${place + 1} of ${found.length}`;
  if (hits) {
    hits.one.clear();
    rangesOf(item, search.value.trim().toLowerCase()).forEach((range) => hits.one.add(range));
  }
  if (!isWide()) select("transcript");
  setFollowing(false);
  reveal(item, true);
}

search.addEventListener("input", apply);
search.form.addEventListener("submit", (event) => { event.preventDefault(); goToHit(1); });
find("next").addEventListener("click", () => goToHit(1));
find("previous").addEventListener("click", () => goToHit(place < 0 ? 0 : -1));
document.querySelector(".filters")?.addEventListener("submit", (event) => event.preventDefault());
document.querySelector(".filters")?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.id === "clear") {
    all("[data-filter][aria-pressed=true]").forEach((other) => other.setAttribute("aria-pressed", "false"));
  } else {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  }
  apply();
});
