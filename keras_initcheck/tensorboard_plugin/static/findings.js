// The verdict and the findings of one probe, as text.

/** @import { Finding, KnownSeries, Probe } from "./api.js" */

import { count, element, prose } from "./elements.js";
import { find, labelOf, state } from "./state.js";

const MARKS = { error: "✗", warning: "!", info: "i", ok: "✓", unknown: "?" };
const NOUNS = { error: "error", warning: "warning", info: "note" };
const HEALTHY = "Every layer roughly preserves the strength of the signal and of the gradient.";
const MOST_PLACES = 4;

export function makeVerdict() {
  const root = element("div", { className: "verdict", attributes: { role: "status" } });
  let shown = "";

  /**
   * @param {Probe} probe
   * @param {KnownSeries} series
   * @param {number} step
   */
  function update(probe, series, step) {
    const severity = probe.ok ? "ok" : (probe.severity ?? "unknown");
    const verdict = withoutPrefix(
      withoutPrefix(probe.verdict, `${series.model}: `),
      `${severity}: `,
    );
    const when = step === series.first_step ? "first probe" : `step ${step.toLocaleString("en")}`;
    const where = `${labelOf(series)} · ${when}`;
    const content = [severity, where, verdict].join("\n");
    if (content === shown) return; // screen readers read aloud whatever is replaced
    shown = content;
    root.dataset.severity = severity;
    const words = element("div", {}, element("p", { className: "faint" }, where));
    words.append(element("h1", {}, ...prose(verdict)));
    root.replaceChildren(element("span", { className: "mark" }, MARKS[severity]), words);
  }

  return { root, update };
}

/**
 * @param {string} text
 * @param {string} prefix
 */
const withoutPrefix = (text, prefix) =>
  text.startsWith(prefix) ? text.slice(prefix.length) : text;

/**
 * The findings.
 *
 * @param {() => void} onFocus Called when the user chooses another run.
 * @param {(name: string) => void} onPlace Called with a site's name that the user clicks on.
 */
export function makeFindings(onFocus, onPlace) {
  const choice = element("select");
  choice.setAttribute("aria-label", "Run whose findings are shown");
  choice.onchange = () => {
    state.focus = choice.value;
    onFocus();
  };
  const title = element("h2");
  const list = element("div", { className: "cards" });
  const header = element("header", {}, title, choice);
  const root = element("section", { className: "findings" }, header, list);
  /** @type {Probe | null} */
  let shown = null;

  /** @param {Probe} probe */
  function update(probe) {
    const option = (/** @type {string} */ id) =>
      new Option(labelOf(find(id)), id, false, id === state.focus);
    choice.replaceChildren(...state.shown.map(option));
    choice.hidden = state.shown.length < 2;
    if (probe === shown) return; // keeps what the reader has unfolded or selected
    shown = probe;
    title.textContent = summary(probe);
    const found = [...groups(probe.findings)];
    const isNote = (/** @type {Finding[]} */ [{ severity }]) => severity === "info"; // the worst
    const cards = found.filter((group) => !isNote(group)).map((group) => card(group, onPlace));
    list.replaceChildren(...cards, ...notes(found.filter(isNote), onPlace), ...remarks(probe));
  }

  return { root, update };
}

/**
 * Findings that do no harm by themselves, folded away.
 *
 * @param {Finding[][]} found Groups that share a code.
 * @param {(name: string) => void} onPlace
 */
function notes(found, onPlace) {
  if (!found.length) return [];
  const number = found.reduce((sum, group) => sum + group.length, 0);
  const codes = found.map(([{ code }]) => code).join(", ");
  const head = element("summary", {}, `${count(number, NOUNS.info)}: ${codes}`);
  const cards = found.map((group) => card(group, onPlace));
  return [element("details", { className: "notes" }, head, ...cards)];
}

/**
 * Remarks below the findings: some are missing, or there are none.
 *
 * @param {Probe} probe
 */
function remarks({ ok, findings, num_findings }) {
  const texts = [];
  if (num_findings > findings.length) {
    texts.push(`The log contains only the worst ${findings.length} of them.`);
  }
  if (ok && !num_findings) texts.push(HEALTHY);
  return texts.map((text) => element("p", { className: "faint" }, text));
}

/**
 * Number of findings of each severity.
 *
 * @param {Probe} probe
 */
function summary({ findings, num_findings }) {
  if (num_findings > findings.length) return count(num_findings, "finding");
  const counts = Object.entries(NOUNS).flatMap(([severity, noun]) => {
    const number = findings.filter((each) => each.severity === severity).length;
    return number ? [count(number, noun)] : [];
  });
  return counts.join(", ") || "No findings";
}

/**
 * Groups of findings that share a code, in order of their first.
 *
 * @param {Finding[]} findings
 */
function groups(findings) {
  /** @type {Map<string, Finding[]>} */
  const byCode = new Map();
  for (const finding of findings) {
    byCode.set(finding.code, [...(byCode.get(finding.code) ?? []), finding]);
  }
  return byCode.values();
}

/**
 * One problem: what it is, where it occurs, why it matters and how to fix it. Text that all places
 * share appears once.
 *
 * @param {Finding[]} group
 * @param {(name: string) => void} onPlace
 */
function card(group, onPlace) {
  const [{ code, slug, severity }] = group;
  const places = group.map((finding) => place(finding, group, onPlace));
  const mark = element("span", { className: "mark" }, MARKS[severity]);
  const head = element("h3", {}, mark, slug.replaceAll("-", " "), element("code", {}, code));
  const root = element("article", { className: "card", dataset: { severity, code } }, head);
  root.append(...places.slice(0, MOST_PLACES));
  if (places.length > MOST_PLACES) {
    const textContent = `${places.length - MOST_PLACES} more like it`;
    const more = element("button", { className: "text", textContent });
    more.onclick = () => more.replaceWith(...places.slice(MOST_PLACES));
    root.append(more);
  }
  root.append(...advice(shared(group, "why"), shared(group, "fix")));
  return root;
}

/**
 * One place of a problem.
 *
 * @param {Finding} finding
 * @param {Finding[]} group
 * @param {(name: string) => void} onPlace
 */
function place(finding, group, onPlace) {
  const text = element("p", {}, ...prose(finding.message));
  if (finding.expected) {
    text.append(element("span", { className: "faint" }, ` Expected: ${finding.expected}.`));
  }
  const own = advice(
    shared(group, "why") ? "" : finding.why,
    shared(group, "fix") ? "" : finding.fix,
  );
  const more = formula(finding.details);
  return element("div", { className: "finding" }, where(finding, onPlace), text, ...own, ...more);
}

/**
 * The formula behind a finding, folded away. Logs of earlier versions have none.
 *
 * @param {string | undefined} details
 */
function formula(details) {
  if (!details) return [];
  const words = element("p", { className: "faint" }, ...prose(details));
  return [element("details", {}, element("summary", {}, "Details"), words)];
}

/**
 * The name of a place; that of a layer, or of several in a row, is a button.
 *
 * @param {Finding} finding
 * @param {(name: string) => void} onPlace
 */
function where(finding, onPlace) {
  const name = finding.site ?? finding.layer;
  if (!name) return element("span", { className: "place" }, "whole network");
  const [first, last] = [finding.span?.at(0), finding.span?.at(-1)];
  const textContent = first && first !== last ? `${first} … ${last}` : name;
  const properties = { className: "place", textContent, title: "Show in the table" };
  return element("button", { ...properties, onclick: () => onPlace(first ?? name) });
}

/**
 * The text that all findings of a group have, or an empty one.
 *
 * @param {Finding[]} group
 * @param {"why" | "fix"} name
 */
function shared(group, name) {
  return group.every((finding) => finding[name] === group[0][name]) ? group[0][name] : "";
}

/**
 * @param {string} why
 * @param {string} fix
 */
function advice(why, fix) {
  const texts = Object.entries({ why, fix }).filter(([, text]) => text);
  return texts.map(([className, text]) => {
    const title = element("b", {}, className === "why" ? "Why " : "Fix ");
    return element("p", { className }, title, ...prose(text));
  });
}
