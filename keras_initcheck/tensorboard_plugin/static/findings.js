// The verdict and the findings of one probe, in words.

import { count, element, prose } from "./elements.js";
import { find, labelOf, state } from "./state.js";

const MARKS = { error: "✗", warning: "!", info: "i", ok: "✓", unknown: "?" };
const WORDS = { error: "error", warning: "warning", info: "note" };
const HEALTHY = "Every layer hands on the signal and the gradient about as strong as it gets them.";
const MOST_PLACES = 4;

export function makeVerdict() {
  const root = element("div", { className: "verdict", attributes: { role: "status" } });

  function update(probe, series, step) {
    const severity = probe.ok ? "ok" : (probe.severity ?? "unknown");
    const opening = [`${series.model}: `, `${severity}: `].reduce((text, start) => (text.startsWith(start) ? text.slice(start.length) : text), probe.verdict);
    const where = `${labelOf(series)} · ${step === series.first_step ? "first probe" : `step ${step.toLocaleString("en")}`}`;
    const words = element("div", {}, element("p", { className: "faint" }, where), element("h1", {}, ...prose(opening)));
    if (root.dataset.severity === severity && root.lastChild.innerHTML === words.innerHTML) return; // screen readers read out what is new
    root.dataset.severity = severity;
    root.replaceChildren(element("span", { className: "mark" }, MARKS[severity]), words);
  }

  return { root, update };
}

/** The findings. `onPlace` is called with the name of a site that the user wants to see. */
export function makeFindings(onFocus, onPlace) {
  const choice = element("select", { attributes: { "aria-label": "Run whose findings are told" } });
  choice.onchange = () => {
    state.focus = choice.value;
    onFocus();
  };
  const title = element("h2");
  const list = element("div", { className: "cards" });
  const root = element("section", { className: "findings" }, element("header", {}, title, choice), list);
  let told = null;

  function update(probe) {
    choice.replaceChildren(...state.shown.map((id) => new Option(labelOf(find(id)), id, false, id === state.focus)));
    choice.hidden = state.shown.length < 2;
    if (probe === told) return; // what the reader has unfolded or selected stays
    told = probe;
    title.textContent = summary(probe);
    const cards = [...groups(probe.findings)].map((group) => card(group, onPlace));
    if (probe.num_findings > probe.findings.length) {
      cards.push(element("p", { className: "faint" }, `The log holds the worst ${probe.findings.length} of them.`));
    }
    if (probe.ok && !probe.num_findings) cards.push(element("p", { className: "faint" }, HEALTHY));
    list.replaceChildren(...cards);
  }

  return { root, update };
}

/** How many findings there are of each severity. */
function summary({ findings, num_findings }) {
  if (num_findings > findings.length) return count(num_findings, "finding");
  const counts = Object.entries(WORDS).map(([severity, word]) => [findings.filter((each) => each.severity === severity).length, word]);
  return counts.flatMap(([number, word]) => (number ? [count(number, word)] : [])).join(", ") || "No findings";
}

/** Findings of one code, in order of their first. */
function groups(findings) {
  const byCode = new Map();
  for (const finding of findings) byCode.set(finding.code, [...(byCode.get(finding.code) ?? []), finding]);
  return byCode.values();
}

/** One problem: what it is, where it is, why it matters and what to do. What all places share is said once. */
function card(group, onPlace) {
  const [{ code, slug, severity }] = group;
  const places = group.map((finding) => place(finding, group, onPlace));
  const head = element("h3", {}, element("span", { className: "mark" }, MARKS[severity]), slug.replaceAll("-", " "), element("code", {}, code));
  const root = element("article", { className: "card", dataset: { severity, code } }, head, ...places.slice(0, MOST_PLACES));
  if (places.length > MOST_PLACES) {
    const more = element("button", { className: "text", textContent: `${places.length - MOST_PLACES} more like it` });
    more.onclick = () => more.replaceWith(...places.slice(MOST_PLACES));
    root.append(more);
  }
  root.append(...advice(shared(group, "why"), shared(group, "fix")));
  return root;
}

function place(finding, group, onPlace) {
  const name = finding.site ?? finding.layer;
  const where = name
    ? element("button", { className: "place", textContent: name, title: "Show in the table", onclick: () => onPlace(name) })
    : element("span", { className: "place" }, "whole network");
  const expected = finding.expected ? element("span", { className: "faint" }, ` Expected: ${finding.expected}.`) : null;
  const own = advice(shared(group, "why") ? "" : finding.why, shared(group, "fix") ? "" : finding.fix);
  return element("div", { className: "finding" }, where, element("p", {}, ...prose(finding.message), expected), ...own);
}

/** The text that all of them have, or nothing. */
function shared(group, name) {
  return group.every((finding) => finding[name] === group[0][name]) ? group[0][name] : "";
}

function advice(why, fix) {
  const lines = [];
  if (why) lines.push(element("p", { className: "why" }, element("b", {}, "Why "), ...prose(why)));
  if (fix) lines.push(element("p", { className: "fix" }, element("b", {}, "Fix "), ...prose(fix)));
  return lines;
}
