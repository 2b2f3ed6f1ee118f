// The page's figures in the colors of the surroundings, and its sortable tables. Everything that can be read works without this.
"use strict";
const packed = (name) => document.getElementById(name).textContent;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const touch = window.matchMedia("(pointer: coarse)");
const narrow = window.matchMedia("(max-width: 640px)");

// A copy of a figure with each color replaced by the one that `colors` has for it: whole values, and inside of styled text.
function recolor(value, colors) {
  const styled = (all, color) => `style="color:${colors[color] ?? color}"`;
  if (typeof value === "string") return colors[value] ?? value.replace(/style="color:(#[0-9a-f]{6})"/g, styled);
  if (Array.isArray(value)) return value.map((each) => recolor(each, colors));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, recolor(each, colors)]));
}

async function drawAll(plotly, { figures, darkForLight }) {
  for (const plot of document.querySelectorAll(".plot")) {
    const { data, layout } = recolor(figures[plot.dataset.figure], dark.matches ? darkForLight : {});
    if (touch.matches) layout.dragmode = false; // a finger scrolls the page, it does not zoom
    if (plot.dataset.state === "waiting") plot.replaceChildren();
    plot.dataset.state = "drawn";
    await plotly.newPlot(plot, data, layout, { ...CONFIG, displayModeBar: touch.matches || narrow.matches ? false : "hover" });
  }
  document.documentElement.dataset.ready = dark.matches ? "dark" : "light";
}

async function start() {
  try {
    const pictures = JSON.parse(await unpack(packed("figures")));
    const plotly = await loadPlotly(packed("plotly"));
    await drawAll(plotly, pictures);
    dark.addEventListener("change", () => drawAll(plotly, pictures));
  } catch (error) {
    for (const plot of document.querySelectorAll(".plot[data-state=waiting]")) {
      plot.textContent = "This browser is too old to show the figures. Findings and numbers are complete.";
      plot.style.minHeight = "0";
    }
    console.warn(error);
  }
  document.documentElement.dataset.ready ??= "text";
}

// Numbers by size, those that are missing or NaN last whichever way; text by the alphabet.
function sortBy(table, column, button) {
  const head = button.closest("th");
  const isText = head.classList.contains("text");
  const first = isText || column === 0 ? "ascending" : "descending";
  const other = first === "ascending" ? "descending" : "ascending";
  const direction = head.getAttribute("aria-sort") === first ? other : first;
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const key = (row) => (isText ? row.cells[column].textContent : Number.parseFloat(row.cells[column].dataset.value));
  const compare = (a, b) => (isText ? a.localeCompare(b) * sign : Number.isNaN(a) - Number.isNaN(b) || (a - b) * sign || 0);
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => compare(a, b));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th button").forEach((button, column) => button.addEventListener("click", () => sortBy(table, column, button)));
}
start();
