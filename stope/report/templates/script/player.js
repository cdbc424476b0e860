const audio = find("audio");
const player = find("player");
const seek = find("seek");
const toggle = find("toggle");
const back = find("back");
const playhead = find("playhead");
const silent = player.hidden;

// What the reader asked for last: it goes on from there once a recording is opened.
let wanted = 0;
let source = null;

audio.removeAttribute("controls");
["toggle", "clock", "seek", "length", "rate"].forEach((id) => { find(id).hidden = false; });

const playable = () => audio.hasAttribute("src") && !audio.error;

function play(start) {
  wanted = start;
  if (!playable()) {
    missing();
    return;
  }
  audio.currentTime = start;
  // A browser that loads nothing before it plays does not know yet where that second is.
  if (audio.readyState === 0) audio.addEventListener("loadedmetadata", () => { audio.currentTime = wanted; }, { once: true });
  audio.play().catch(() => {});
}

function pauseOrGo() {
  if (!playable()) missing();
  else if (audio.paused) audio.play().catch(() => {});
  else audio.pause();
}

// `element` is a quote, a time or a mark: its words are lit, its second is played.
function playFrom(element) {
  if (element === source && !audio.paused) {
    audio.pause();
    return;
  }
  const { start, first, end, claim } = element.dataset;
  if (first !== undefined) light(Number(first), Number(end));
  if (start === undefined || silent) return;
  source = element;
  play(Number(start));
  all(".playing").forEach((item) => item.classList.remove("playing"));
  back.hidden = claim === undefined;
  if (claim === undefined) return;
  const item = find(claim);
  all(`[data-claim="${claim}"]`).filter((other) => other === element || other.matches(".mark")).forEach((other) => other.classList.add("playing"));
  if (!item) return;
  item.classList.add("playing");
  back.href = `#${claim}`;
  back.textContent = `Claim ${item.querySelector(".rank").textContent}`;
}

function missing() {
  find("lost").hidden = silent;
  toggle.disabled = true;
  seek.disabled = true;
}

function total() {
  return Number.isFinite(audio.duration) && audio.duration > 0 ? audio.duration : Number(seek.max);
}

function tick() {
  const now = audio.currentTime;
  find("clock").textContent = clock(now);
  seek.value = now;
  seek.setAttribute("aria-valuetext", clock(now));
  seek.style.setProperty("--played", `${total() ? (100 * now) / total() : 0}%`);
  if (playhead) {
    const length = Number(playhead.closest(".timeline").dataset.duration);
    playhead.style.left = `${Math.min(100, (100 * now) / length)}%`;
    playhead.classList.toggle("on", now > 0);
  }
  followTo(now);
}

function running() {
  toggle.classList.toggle("on", !audio.paused);
  toggle.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
  all(".quote.playing").forEach((quote) => { if (audio.paused) quote.classList.remove("playing"); });
  if (!audio.paused && source?.matches(".quote")) source.classList.add("playing");
  const frame = () => {
    tick();
    if (!audio.paused) requestAnimationFrame(frame);
  };
  if (!audio.paused) requestAnimationFrame(frame);
}

audio.addEventListener("play", running);
audio.addEventListener("pause", running);
audio.addEventListener("timeupdate", tick);
audio.addEventListener("seeked", tick);
audio.addEventListener("loadedmetadata", () => {
  seek.max = total();
  find("length").textContent = clock(total());
  tick();
});
audio.addEventListener("error", missing);
if (!silent && !playable()) missing();

toggle.addEventListener("click", pauseOrGo);
seek.addEventListener("input", () => { audio.currentTime = Number(seek.value); tick(); });
const rates = [1, 1.25, 1.5, 2, 0.75];
find("rate").addEventListener("click", (event) => {
  audio.playbackRate = rates[(rates.indexOf(audio.playbackRate) + 1) % rates.length];
  event.currentTarget.textContent = `${audio.playbackRate}×`;
});
find("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (!file) return;
  audio.src = URL.createObjectURL(file);
  find("lost").hidden = true;
  toggle.disabled = false;
  seek.disabled = false;
  play(wanted);
});

document.addEventListener("click", (event) => {
  const element = event.target.closest("[data-start], [data-first]");
  if (element) {
    playFrom(element);
    return;
  }
  const track = event.target.closest(".timeline > svg");
  if (track && !silent) {
    const box = track.getBoundingClientRect();
    const length = Number(track.closest(".timeline").dataset.duration);
    play(Math.max(0, (length * (event.clientX - box.left)) / box.width));
  }
});
