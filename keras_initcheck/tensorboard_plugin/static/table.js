// The table of sites, which can be sorted. Rows and cells are made once and only filled afterwards,
// because a slider changes them often.

/** @import { Column, Probe, Severity, Value } from "./api.js" */

import { element } from "./elements.js";

const MARKS = { error: "✗", warning: "!", info: "i", ok: "" };

/** @type {Record<string, number>} */
const NON_FINITE = { NaN: Number.NaN, Infinity: Infinity, "-Infinity": -Infinity };

export function makeTable() {
  const title = element("h2");
  const head = element("thead");
  const body = element("tbody");
  const table = element("table", {}, head, body);
  const scroll = element("div", { className: "scroll" }, table);
  const root = element("section", { className: "sites" }, element("header", {}, title), scroll);
  /** @type {Column[]} */
  let columns = [];
  /** @type {(Severity | null)[]} */
  let severities = [];
  /** @type {ReturnType<typeof makeRow>[]} */
  let rows = [];
  let layout = "";
  let sorting = { title: "#", isDescending: false };

  /** @param {Probe} probe */
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
    const mark = element("th", { attributes: { "aria-label": "Finding" } });
    head.replaceChildren(element("tr", {}, mark, ...columns.map(makeHead)));
    rows = severities.map(() => makeRow(columns));
  }

  /** @param {Column} column */
  function makeHead(column) {
    const sortBy = element("button", { textContent: column.title, title: column.hint });
    sortBy.onclick = () => {
      const isSame = sorting.title === column.title;
      sorting = { title: column.title, isDescending: isSame && !sorting.isDescending };
      sort();
    };
    const properties = { className: classOf(column), dataset: { title: column.title } };
    return element("th", properties, sortBy);
  }

  function fill() {
    rows.forEach(({ root: row, mark, cells }, index) => {
      const severity = severities[index];
      if (row.dataset.severity !== (severity ?? "")) {
        row.dataset.severity = severity ?? "";
        mark.textContent = severity ? MARKS[severity] : "";
      }
      columns.forEach(({ texts }, place) => {
        if (cells[place].textContent !== texts[index]) cells[place].textContent = texts[index];
      });
    });
  }

  function sort() {
    const column = columns.find((each) => each.title === sorting.title) ?? columns[0];
    const direction = sorting.isDescending ? "descending" : "ascending";
    for (const cell of /** @type {NodeListOf<HTMLElement>} */ (
      head.querySelectorAll("[data-title]")
    )) {
      cell.setAttribute("aria-sort", cell.dataset.title === column?.title ? direction : "none");
    }
    const sign = sorting.isDescending ? -1 : 1;
    const order = rows
      .map((_, index) => index)
      .sort((a, b) => compare(column.values[a], column.values[b], sign) || a - b)
      .map((index) => rows[index].root);
    const isInOrder =
      body.children.length === order.length &&
      order.every((row, place) => body.children[place] === row);
    if (!isInOrder) body.replaceChildren(...order);
  }

  /**
   * Scrolls to a site, or to the first site of a layer, and highlights it for a moment.
   *
   * @param {string} name
   */
  function reveal(name) {
    const names = columns.find((column) => column.title === "layer")?.texts ?? [];
    const row = rows[names.indexOf(name)]?.root;
    if (!row) return;
    row.scrollIntoView({ block: "center", behavior: "smooth" });
    row.classList.remove("revealed");
    void row.offsetWidth; // computes the layout, which makes the animation start again
    row.classList.add("revealed");
  }

  return { root, update, reveal };
}

/** @param {Column[]} columns */
function makeRow(columns) {
  const mark = element("td", { className: "mark" });
  const cells = columns.map((column) => element("td", { className: classOf(column) }));
  return { root: element("tr", {}, mark, ...cells), mark, cells };
}

/** @param {Column} column */
const classOf = (column) => (column.is_number ? "number" : "");

/**
 * A value, in which the names of the non-finite numbers are replaced by the numbers.
 *
 * @param {Value} value
 * @returns {Value}
 */
const finiteOrNot = (value) => NON_FINITE[String(value)] ?? value;

/**
 * Place of a value among the kinds: numbers and texts, then NaN, then what is missing.
 *
 * @param {Value} value
 */
const placeOfKind = (value) => (value === null ? 2 : Number.isNaN(value) ? 1 : 0);

/**
 * Order of two values; NaN and missing values come last whichever way the column is sorted.
 *
 * @param {Value} a
 * @param {Value} b
 * @param {number} sign
 */
function compare(a, b, sign) {
  const [left, right] = [a, b].map(finiteOrNot);
  const kinds = placeOfKind(left) - placeOfKind(right);
  if (kinds || placeOfKind(left)) return kinds;
  if (typeof left === "string") {
    return sign * left.localeCompare(String(right), "en", { numeric: true });
  }
  const [x, y] = [Number(left), Number(right)];
  return sign * (x < y ? -1 : x > y ? 1 : 0); // a difference of two infinities would be NaN
}
