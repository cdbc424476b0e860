"use strict";
{
  const find = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const audio = find("audio");
  const lost = find("lost");
  const back = find("back");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // Where to go on once a recording is opened: the reader asked for it before there was one.
  let wanted = 0;

  function play(start) {
    wanted = start;
    if (!audio.hasAttribute("src") || audio.error) return;
    audio.currentTime = start;
    audio.play().catch(() => {});
  }

  function light(first, end) {
    const runs = all("[data-word]").filter((run) => run.dataset.word >= first && run.dataset.word < end);
    all(".lit").forEach((run) => run.classList.remove("lit"));
    runs.forEach((run) => run.classList.add("lit"));
    if (runs.length) reveal(runs[0]);
  }

  // Beside the claims the transcript scrolls in its own pane; below them, the page does.
  function reveal(element) {
    const pane = find("lines");
    const behavior = calm ? "auto" : "smooth";
    if (getComputedStyle(pane).overflowY === "auto") {
      const offset = element.getBoundingClientRect().top - pane.getBoundingClientRect().top;
      pane.scrollTo({ top: pane.scrollTop + offset - pane.clientHeight / 3, behavior });
      if (pane.getBoundingClientRect().top > innerHeight / 2) pane.scrollIntoView({ behavior });
    } else {
      element.scrollIntoView({ block: "center", behavior });
    }
  }

  document.addEventListener("click", (event) => {
    const source = event.target.closest("[data-start], [data-first]");
    if (!source) return;
    const { start, first, end, rank } = source.dataset;
    if (first !== undefined) light(Number(first), Number(end));
    if (start !== undefined) play(Number(start));
    all(".playing").forEach((item) => item.classList.remove("playing"));
    back.hidden = !rank;
    if (!rank) return;
    back.parentNode.hidden = false;
    find(`claim-${rank}`).classList.add("playing");
    back.href = `#claim-${rank}`;
    back.textContent = `Back to claim #${rank}`;
  });

  const lines = all(".line").filter((line) => line.querySelector("[data-start]"));
  const times = lines.map((line) => Number(line.querySelector("[data-start]").dataset.start));
  const playhead = find("playhead");
  let now = null;
  audio.addEventListener("timeupdate", () => {
    let index = times.length - 1;
    while (index >= 0 && times[index] > audio.currentTime + 0.05) index -= 1;
    if (lines[index] !== now) {
      now?.classList.remove("now");
      now = lines[index];
      now?.classList.add("now");
    }
    if (playhead) {
      const share = audio.currentTime / Number(playhead.parentNode.dataset.duration);
      playhead.setAttribute("x", `${Math.min(100, 100 * share)}%`);
      playhead.classList.add("on");
    }
  });

  const missing = () => { lost.hidden = false; };
  audio.addEventListener("error", missing);
  if (!audio.hidden && (!audio.hasAttribute("src") || audio.error)) missing();
  find("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (!file) return;
    audio.src = URL.createObjectURL(file);
    lost.hidden = true;
    play(wanted);
  });

  const filters = document.querySelector(".filters");
  if (filters) {
    const claims = all(".claim").map((item) => ({ item, text: item.textContent.toLowerCase() }));
    const apply = () => {
      const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = (kind) => all(`[data-filter=${kind}][aria-pressed=true]`).map((b) => b.value);
      const tiers = chosen("tier");
      const types = chosen("type");
      for (const { item, text } of claims) {
        item.hidden = (tiers.length > 0 && !tiers.includes(item.dataset.tier))
          || (types.length > 0 && !types.includes(item.dataset.type))
          || !words.every((word) => text.includes(word));
      }
      const rejected = claims.filter(({ item }) => item.closest(".rejected"));
      const accepted = claims.filter((claim) => !rejected.includes(claim));
      const count = (list) => list.filter(({ item }) => !item.hidden).length;
      const few = count(claims) < claims.length;
      find("shown").textContent = few ? `${count(accepted)} of ${accepted.length} accepted claims` : "";
      if (rejected.length) find("rejected-shown").textContent = count(rejected);
    };
    filters.hidden = false;
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.addEventListener("input", apply);
    filters.addEventListener("click", (event) => {
      const button = event.target.closest("[data-filter]");
      if (!button) return;
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      apply();
    });
  }
}
