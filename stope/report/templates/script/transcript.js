const pane = find("lines");
const follow = find("follow");
const lines = pane ? all(".line[data-times]", pane) : [];
const starts = lines.map((line) => Number(line.querySelector(".time")?.dataset.start ?? 0));
const speakerOf = new Map();
{
  let name = "";
  for (const line of lines) {
    const speaker = line.querySelector(".speaker");
    if (speaker) name = speaker.textContent;
    speakerOf.set(line, name);
  }
}

// Words are found by counting in a line's text; the browser paints them without new elements.
const paint = typeof Highlight === "function" && CSS.highlights;
const spoken = paint ? new Highlight() : null;
if (paint) CSS.highlights.set("word", spoken);

let current = null;
let currentTimes = [];
let currentWords = [];
let currentWord = -1;
let following = true;

function wordsOf(line) {
  const ranges = [];
  for (const run of all("[data-word]", line)) {
    const text = run.firstChild;
    if (!text) continue;
    for (const match of text.data.matchAll(/\S+/g)) {
      ranges.push([text, match.index, match.index + match[0].length]);
    }
  }
  return ranges;
}

function timesOf(line) {
  const start = Number(line.querySelector(".time")?.dataset.start ?? 0);
  return (line.dataset.times ?? "").split(" ").filter(Boolean).map((offset) => start + Number(offset) / 100);
}

function followTo(now) {
  const line = lines[lastUpTo(starts, now + 0.05)] ?? null;
  if (line !== current) {
    current?.classList.remove("now");
    current = line;
    currentWord = -1;
    currentTimes = line ? timesOf(line) : [];
    currentWords = line && paint ? wordsOf(line) : [];
    line?.classList.add("now");
    find("now").textContent = line ? speakerOf.get(line) : "";
    if (line && following && !audio.paused) reveal(line);
  }
  const index = lastUpTo(currentTimes, now + 0.03);
  if (!paint || index === currentWord) return;
  currentWord = index;
  spoken.clear();
  const word = currentWords[index];
  if (!word || audio.paused) return;
  const range = document.createRange();
  range.setStart(word[0], word[1]);
  range.setEnd(word[0], word[2]);
  spoken.add(range);
}

// Beside the claims the transcript scrolls in its own pane; as a tab of its own, the page does.
const ownPane = () => pane && getComputedStyle(pane).overflowY === "auto";

function reveal(element, jump = false) {
  if (!pane || element.closest("[hidden]")) return;
  const near = Math.abs(element.getBoundingClientRect().top) < 2 * innerHeight;
  if (!jump && near && !calm) {
    if (ownPane()) pane.scrollTo({ top: goalOf(element), behavior });
    else element.scrollIntoView({ block: "center", behavior });
  } else {
    settle(element, 12);
  }
}

function goalOf(element) {
  const offset = element.getBoundingClientRect().top - pane.getBoundingClientRect().top;
  const goal = pane.scrollTop + offset - pane.clientHeight / 3;
  return Math.min(Math.max(0, goal), pane.scrollHeight - pane.clientHeight);
}

// Stretches that were never laid out have a guessed height: look again until nothing moves.
function settle(element, tries, steady = 0) {
  const before = element.getBoundingClientRect().top;
  if (ownPane()) pane.scrollTop = goalOf(element);
  else element.scrollIntoView({ block: "center" });
  const { top, bottom } = element.getBoundingClientRect();
  const still = Math.abs(top - before) <= 1 ? steady + 1 : 0;
  if (tries && still < 3) {
    requestAnimationFrame(() => settle(element, tries - 1, still));
  } else if (bottom > player.getBoundingClientRect().top || top < 0) {
    // The pane itself reaches below the window while the head of the page is seen.
    find("main").scrollIntoView();
  }
}

function light(first, end) {
  if (!pane) return;
  all(".lit", pane).forEach((run) => run.classList.remove("lit"));
  const found = all("[data-word]", pane).filter((run) => run.dataset.word >= first && run.dataset.word < end);
  found.forEach((run) => run.classList.add("lit"));
  if (!found.length) return;
  setFollowing(true);
  reveal(found[0]);
}

function setFollowing(on) {
  following = on;
  if (!follow) return;
  follow.setAttribute("aria-pressed", String(on));
  follow.textContent = on ? "Following" : "Follow the recording";
}

if (pane) {
  follow.hidden = silent;
  setFollowing(true);
  follow.addEventListener("click", () => {
    setFollowing(!following);
    if (following && current) reveal(current);
  });
  // A reader who scrolls away while it plays wants to read there.
  for (const kind of ["wheel", "touchmove"]) {
    pane.addEventListener(kind, () => { if (!audio.paused) setFollowing(false); }, { passive: true });
  }
  pane.addEventListener("click", (event) => {
    const line = event.target.closest(".line");
    const run = event.target.closest("[data-word]");
    if (!line || !run || silent || !line.dataset.times || !getSelection().isCollapsed) return;
    const place = caretAt(event.clientX, event.clientY);
    const words = wordsOf(line);
    let index = words.findIndex(([node, , to]) => node === place?.node && place.offset <= to);
    if (index < 0) index = words.findIndex(([node]) => node === run.firstChild);
    const time = timesOf(line)[index];
    if (time === undefined) return;
    source = null;
    setFollowing(true);
    play(time);
  });
}

function caretAt(x, y) {
  if (document.caretPositionFromPoint) {
    const found = document.caretPositionFromPoint(x, y);
    return found && { node: found.offsetNode, offset: found.offset };
  }
  const found = document.caretRangeFromPoint?.(x, y);
  return found && { node: found.startContainer, offset: found.startOffset };
}
