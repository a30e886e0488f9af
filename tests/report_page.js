// Measures the report in its frame and writes what it found into the page as JSON. It is no part
// of the report, which has no script; the test puts it around it.
const frame = document.querySelector("iframe");
const SLACK_PX = 1.5;

function named(element) {
  const text = element.textContent.trim().slice(0, 40);
  return `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""} ${text}`;
}

function visible(element) {
  return element.getClientRects().length > 0;
}

// Elements that are wider than their box; what scrolls in its own box may be.
function overflowing(page) {
  const within = [...page.body.querySelectorAll("*")].filter(
    (element) => visible(element) && !element.closest("svg"));
  const wide = within.filter((element) => {
    const scrolls = element.closest(".scroll");
    const right = element.getBoundingClientRect().right;
    return !scrolls && right > page.documentElement.clientWidth + SLACK_PX;
  });
  const whole = page.documentElement;
  const found = wide.map(named);
  if (whole.scrollWidth > whole.clientWidth) {
    found.push(`the page is ${whole.scrollWidth} wide in ${whole.clientWidth}`);
  }
  return found;
}

function charts(page) {
  return [...page.querySelectorAll("svg[role=img]")].filter(visible);
}

// Words of a chart that lie outside of it.
function cut(page) {
  return charts(page).flatMap((chart) => {
    const box = chart.getBoundingClientRect();
    return [...chart.querySelectorAll("text")].filter((text) => {
      const own = text.getBoundingClientRect();
      return own.left < box.left - 8 || own.right > box.right + 16 ||
        own.top < box.top - 4 || own.bottom > box.bottom + 4;
    }).map(named);
  });
}

// Words of a chart that lie on others.
function overlapping(page) {
  return charts(page).flatMap((chart) => {
    const texts = [...chart.querySelectorAll("text")].filter((text) => text.textContent);
    const boxes = texts.map((text) => text.getBoundingClientRect());
    const found = [];
    for (let a = 0; a < texts.length; a++) {
      for (let b = a + 1; b < texts.length; b++) {
        const wide = Math.min(boxes[a].right, boxes[b].right) -
          Math.max(boxes[a].left, boxes[b].left);
        const high = Math.min(boxes[a].bottom, boxes[b].bottom) -
          Math.max(boxes[a].top, boxes[b].top);
        if (wide > SLACK_PX && high > 4) {
          found.push(`${named(texts[a])} / ${named(texts[b])}`);
        }
      }
    }
    return found;
  });
}

frame.addEventListener("load", () => {
  const page = frame.contentDocument;
  const view = frame.contentWindow;
  const fetched = view.performance.getEntriesByType("resource").map((entry) => entry.name);
  const foreign = [...page.querySelectorAll("script, img, link, iframe, object")].map(named);
  const unnamed = charts(page).filter((chart) => !chart.querySelector("title")?.textContent);
  document.getElementById("measured").textContent = JSON.stringify({
    width: view.innerWidth,
    words: page.body.innerText.split(/\s+/).length,
    charts: charts(page).length,
    overflows: overflowing(page),
    cut: cut(page),
    overlaps: overlapping(page),
    fetched: fetched.concat(foreign),
    unnamed: unnamed.map(named),
  });
});
frame.srcdoc = document.getElementById("page").content.textContent;
