// The sites in a table that can be sorted. Rows and cells are made once and then only filled: a slider changes them often.

import { element } from "./elements.js";

const MARKS = { error: "✗", warning: "!", info: "i" };
const NON_FINITE = { NaN: Number.NaN, Infinity: Number.POSITIVE_INFINITY, "-Infinity": Number.NEGATIVE_INFINITY };

export function makeTable() {
  const title = element("h2");
  const head = element("thead");
  const body = element("tbody");
  const table = element("table", {}, head, body);
  const root = element("section", { className: "sites" }, element("header", {}, title), element("div", { className: "scroll" }, table));
  let columns = [];
  let severities = [];
  let rows = [];
  let layout = "";
  let sorting = { title: "#", isDescending: false };

  function update(probe) {
    ({ columns, severities } = probe.table);
    title.textContent = `Layers (${severities.length.toLocaleString("en")})`;
    const wanted = JSON.stringify([columns.map((column) => column.title), severities.length]);
    if (wanted !== layout) build();
    layout = wanted;
    fill();
    sort();
  }

  function build() {
    head.replaceChildren(element("tr", {}, element("th", { attributes: { "aria-label": "Finding" } }), ...columns.map(makeHead)));
    rows = severities.map(() => {
      const cells = columns.map((column) => element("td", { className: column.is_number ? "number" : "" }));
      return { root: element("tr", {}, element("td", { className: "mark" }), ...cells), cells };
    });
  }

  function makeHead(column) {
    const sortBy = element("button", { textContent: column.title, title: column.hint });
    const cell = element("th", { className: column.is_number ? "number" : "", dataset: { title: column.title } }, sortBy);
    sortBy.onclick = () => {
      const isSame = sorting.title === column.title;
      sorting = { title: column.title, isDescending: isSame ? !sorting.isDescending : false };
      sort();
    };
    return cell;
  }

  function fill() {
    rows.forEach(({ root: row, cells }, index) => {
      const severity = severities[index] ?? "";
      if (row.dataset.severity !== severity) {
        row.dataset.severity = severity;
        row.firstChild.textContent = MARKS[severity] ?? "";
      }
      columns.forEach(({ texts }, place) => {
        if (cells[place].textContent !== texts[index]) cells[place].textContent = texts[index];
      });
    });
  }

  function sort() {
    const column = columns.find((each) => each.title === sorting.title) ?? columns[0];
    for (const cell of head.querySelectorAll("[data-title]")) {
      const order = sorting.isDescending ? "descending" : "ascending";
      cell.setAttribute("aria-sort", cell.dataset.title === column?.title ? order : "none");
    }
    const sign = sorting.isDescending ? -1 : 1;
    const order = rows.map((_, index) => index).sort((a, b) => compare(column.values[a], column.values[b], sign) || a - b);
    if (order.some((index, place) => body.children[place] !== rows[index].root) || body.children.length !== rows.length) {
      body.replaceChildren(...order.map((index) => rows[index].root));
    }
  }

  /** Scrolls to a site, or to the first one of a layer, and marks it for a moment. */
  function reveal(name) {
    const names = columns.find((column) => column.title === "layer")?.texts ?? [];
    const row = rows[names.indexOf(name)]?.root;
    if (!row) return;
    row.scrollIntoView({ block: "center", behavior: "smooth" });
    row.classList.remove("revealed");
    row.offsetWidth; // begins the animation anew
    row.classList.add("revealed");
  }

  return { root, update, reveal };
}

/** Order of two values; what is not there comes last whichever way the column is sorted. */
function compare(a, b, sign) {
  const [left, right] = [a, b].map((value) => NON_FINITE[value] ?? value);
  if (left === null || right === null) return (left === null) - (right === null);
  if (typeof left === "string") return sign * left.localeCompare(right, "en", { numeric: true });
  return sign * (left < right ? -1 : left > right ? 1 : 0);
}
