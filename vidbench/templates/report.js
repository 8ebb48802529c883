"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

const form = document.getElementById("filter");
form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
function filter() {
  const { dataset, metric, model } = form.elements;
  const part = model.value.trim().toLowerCase();
  for (const element of all("main [data-dataset], main [data-metric], main [data-model]")) {
    const own = element.dataset;
    element.classList.toggle("off",
      Boolean(dataset.value && own.dataset !== undefined && own.dataset !== dataset.value) ||
      Boolean(metric.value && own.metric !== undefined && own.metric !== metric.value) ||
      Boolean(part && own.model !== undefined && !own.model.toLowerCase().includes(part)));
  }
  const scores = document.getElementById("scores");
  for (const article of all("article", scores))
    if (all("tbody tr", article).every((row) => row.classList.contains("off"))) article.classList.add("off");
  const rows = all("tbody tr", scores);
  const shown = rows.filter((row) => !row.closest(".off")).length;
  form.querySelector("output").textContent = shown === rows.length ? `${shown} scores` : `${shown} of ${rows.length} scores`;
}
form.addEventListener("input", filter);
form.addEventListener("change", filter);
form.addEventListener("reset", () => setTimeout(filter));
filter();

for (const table of all("table")) {
  const heads = all("thead th", table);
  heads.forEach((head, column) => {
    if ("fixed" in head.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const body = table.tBodies[0];
      const numeric = [...body.rows].some((row) => row.cells[column].dataset.value !== undefined);
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (!numeric) return up ? x.localeCompare(y) : y.localeCompare(x);
        if (x === "" || y === "") return (x === "") - (y === "");
        return up ? x - y : y - x;
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}

for (const figure of all(".figure")) {
  const lines = all(".line", figure);
  for (const item of all(".legend li", figure)) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(...item.childNodes);
    item.replaceChildren(button);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      lines[Number(item.dataset.line)].classList.toggle("off", !on);
    });
  }
}

for (const player of all(".player")) {
  const videos = all("video", player.parentElement);
  const button = player.querySelector("button");
  const slider = player.querySelector("input");
  let playing = false;
  let time = 0;
  let last = 0;
  player.hidden = false;
  for (const video of videos) {
    video.controls = false;
    video.loop = false;
  }
  const length = () => Math.max(0.04, ...videos.map((video) => video.duration || 0));
  const seek = (video, exactly) => {
    const wanted = video.duration ? time % video.duration : 0;
    if (Math.abs(video.currentTime - wanted) > (exactly ? 0.001 : 0.12)) video.currentTime = wanted;
    if (playing && video.paused) video.play().catch(() => {});
  };
  const step = (now) => {
    if (!playing) return;
    time = (time + Math.min(now - last, 100) / 1000) % length();
    last = now;
    slider.value = 1000 * time / length();
    videos.forEach((video) => seek(video, false));
    requestAnimationFrame(step);
  };
  const play = (on) => {
    if (on === playing) return;
    playing = on;
    button.textContent = on ? "Pause all" : "Play all";
    button.setAttribute("aria-pressed", String(on));
    if (on) {
      last = performance.now();
      requestAnimationFrame(step);
    } else {
      videos.forEach((video) => video.pause());
      videos.forEach((video) => seek(video, true));
    }
  };
  button.addEventListener("click", () => { chosen = true; play(!playing); });
  slider.addEventListener("input", () => {
    chosen = true;
    play(false);
    time = slider.value / 1000 * length();
    videos.forEach((video) => seek(video, true));
  });
  let chosen = matchMedia("(prefers-reduced-motion: reduce)").matches;
  new IntersectionObserver(([entry]) => {
    if (!chosen || !entry.isIntersecting) play(entry.isIntersecting);
  }).observe(player.parentElement);
}

const reveal = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.classList.remove("off");
    target.open = true;
    target.scrollIntoView();
  }
};
addEventListener("hashchange", reveal);
reveal();
