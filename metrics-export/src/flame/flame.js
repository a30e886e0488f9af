"use strict";
(() => {
  const PAD = 10, WIDTH = 1180, LETTER = 6.7;
  const frames = [...document.querySelectorAll("g.f")].map((g) => ({
    g,
    rect: g.querySelector("rect"),
    text: g.querySelector("text"),
    told: g.querySelector("title").textContent,
    name: g.dataset.n,
    left: Number(g.dataset.l),
    width: Number(g.dataset.w),
    depth: Number(g.dataset.d),
  }));
  const pointed = document.getElementById("pointed");
  const words = document.getElementById("words");

  const fitted = (name, width) => {
    const room = Math.floor((width - 6) / LETTER);
    if (room < 3) return "";
    return name.length > room ? name.slice(0, room - 2) + ".." : name;
  };

  const put = (frame, left, width, above) => {
    frame.g.style.display = "";
    frame.g.classList.toggle("above", above);
    frame.rect.setAttribute("x", PAD + left * WIDTH);
    frame.rect.setAttribute("width", width * WIDTH);
    frame.text.setAttribute("x", PAD + left * WIDTH + 3);
    frame.text.textContent = fitted(frame.name, width * WIDTH);
  };

  // What stands on the chosen frame fills the width, its callers stay below it, the rest goes.
  const zoom = (chosen) => {
    const slack = 1e-6, right = chosen.left + chosen.width;
    for (const frame of frames) {
      const end = frame.left + frame.width;
      if (frame.depth >= chosen.depth && frame.left >= chosen.left - slack && end <= right + slack) {
        put(frame, (frame.left - chosen.left) / chosen.width, frame.width / chosen.width, false);
      } else if (frame.depth < chosen.depth && frame.left <= chosen.left + slack && end >= right - slack) {
        put(frame, 0, 1, true);
      } else {
        frame.g.style.display = "none";
      }
    }
  };

  // Of frames that stand on each other only the lowest counts.
  const search = (wanted) => {
    const found = frames.filter((frame) => wanted !== "" && frame.name.includes(wanted));
    for (const frame of frames) frame.g.classList.toggle("found", found.includes(frame));
    const inside = (frame, other) =>
      other.depth < frame.depth && other.left <= frame.left + 1e-6 &&
      other.left + other.width >= frame.left + frame.width - 1e-6;
    const lowest = found.filter((frame) => !found.some((other) => inside(frame, other)));
    const share = lowest.reduce((sum, frame) => sum + frame.width, 0);
    words.textContent = wanted === ""
      ? "Click a frame to zoom, \u201call\u201d to go back. Click here to search."
      : `${wanted}: ${(share * 100).toFixed(1)}% of the samples. Click here to search again.`;
  };

  for (const frame of frames) {
    frame.g.addEventListener("click", () => zoom(frame));
    frame.g.addEventListener("mouseover", () => { pointed.textContent = frame.told; });
    frame.g.addEventListener("mouseout", () => { pointed.textContent = ""; });
  }
  words.addEventListener("click", () => search(prompt("Part of a function's name:") ?? ""));
  search("");
})();
