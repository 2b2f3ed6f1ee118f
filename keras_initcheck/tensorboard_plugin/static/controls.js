// The controls: runs, step and figure.

/** @import { KnownSeries } from "./api.js" */

import { count, element } from "./elements.js";
import { inOrder, labelOf, severityOf, state, stepsShown } from "./state.js";

const NUM_COLORS = 5; // of runs, in the figures and in the style sheet
const MILLISECONDS_PER_STEP = 250;

/**
 * The runs, each a box to tick.
 *
 * @param {() => void} onChange
 */
export function makeRunPicker(onChange) {
  const attributes = { role: "group", "aria-label": "Runs" };
  const root = element("div", { className: "runs", attributes });

  /**
   * @param {string} id
   * @param {boolean} isShown
   */
  function toggle(id, isShown) {
    const others = state.shown.filter((each) => each !== id);
    state.shown = inOrder(isShown ? [...others, id] : others);
    if (isShown) state.focus = id;
    else if (state.focus === id) state.focus = state.shown[state.shown.length - 1];
    onChange();
  }

  function update() {
    root.hidden = state.series.length < 2;
    root.replaceChildren(...state.series.map((series) => runBox(series, toggle)));
  }

  return { root, update };
}

/**
 * The box of one run; the last one that is ticked stays so.
 *
 * @param {KnownSeries} series
 * @param {(id: string, isShown: boolean) => void} toggle
 */
function runBox(series, toggle) {
  const place = state.shown.indexOf(series.id);
  const isShown = place >= 0;
  const box = element("input", {
    type: "checkbox",
    checked: isShown,
    disabled: isShown && state.shown.length === 1,
    onchange: () => toggle(series.id, !isShown),
  });
  const title = `${series.run}: ${series.model}, ${count(series.num_sites, "site")}`;
  const swatch = element("span", { className: "swatch" });
  const chip = element("label", { className: "run", title }, box, swatch, labelOf(series));
  const color = isShown ? `--run-${place % NUM_COLORS}` : "--unknown";
  chip.style.setProperty("--color", `var(${color})`);
  return chip;
}

/**
 * The step: a slider over the steps that were probed, and a button that plays them.
 *
 * @param {() => Promise<void>} onStep
 */
export function makeStepSlider(onStep) {
  const play = element("button", { className: "icon", title: "Play the training" });
  const range = element("input", { type: "range", min: 0 });
  range.setAttribute("aria-label", "Training step");
  const strip = element("div", { className: "strip", title: "Worst finding at each step" });
  const track = element("div", { className: "track" }, range, strip);
  const label = element("output", { className: "step" });
  const newest = element("button", { className: "text", title: "Follow the training" }, "Newest");
  const root = element("div", { className: "slider" }, play, track, label, newest);
  let timer = 0;

  play.onclick = () => (timer ? stop() : start());
  newest.onclick = follow;
  range.oninput = () => {
    stop();
    choose(Number(range.value));
  };

  /** @param {number} index */
  function choose(index) {
    state.step = stepsShown()[index];
    state.isFollowing = false;
    return onStep();
  }

  function follow() {
    stop();
    const steps = stepsShown();
    state.isFollowing = !state.isFollowing;
    state.step = steps[steps.length - 1];
    onStep();
  }

  function start() {
    if (range.value === range.max) range.value = "0";
    timer = setTimeout(advance, 0, Number(range.value));
    draw();
  }

  /** @param {number} index */
  async function advance(index) {
    const begun = performance.now();
    await choose(index);
    if (!timer) return;
    if (index >= Number(range.max)) return stop();
    const rest = MILLISECONDS_PER_STEP - (performance.now() - begun);
    timer = setTimeout(advance, Math.max(0, rest), index + 1);
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
    draw();
  }

  function draw() {
    play.textContent = timer ? "❚❚" : "▶";
    play.setAttribute("aria-label", timer ? "Pause" : "Play");
    newest.setAttribute("aria-pressed", String(state.isFollowing));
  }

  function update() {
    const steps = stepsShown();
    const index = steps.indexOf(state.step);
    root.hidden = steps.length === 0;
    newest.hidden = range.disabled = play.disabled = steps.length < 2;
    range.max = String(Math.max(steps.length - 1, 0));
    range.value = String(index);
    const probe = index === 0 ? "first probe" : `probe ${index + 1}`;
    const step = element("b", {}, `step ${state.step.toLocaleString("en")}`);
    label.replaceChildren(step, ` ${probe} of ${steps.length}`);
    strip.style.background = gradient(
      steps.map((each) => severityOf(state.focus, each) ?? "unknown"),
    );
    draw();
  }

  return { root, update, stop };
}

/**
 * A background of equal pieces, each in the color of its severity; neighbors of the same color are
 * one piece.
 *
 * @param {string[]} severities
 */
function gradient(severities) {
  const percent = (/** @type {number} */ place) =>
    `${((100 * place) / severities.length).toFixed(2)}%`;
  const pieces = severities.flatMap((severity, index) => {
    if (severity === severities[index - 1]) return [];
    const next = severities.findIndex((other, later) => later > index && other !== severity);
    const end = next < 0 ? severities.length : next;
    return [`var(--${severity}) ${percent(index)} ${percent(end)}`];
  });
  return `linear-gradient(to right, ${pieces.join(", ")})`;
}

/**
 * The figures, as tabs.
 *
 * @param {() => void} onChange
 */
export function makeFigureTabs(onChange) {
  const root = element("div", { className: "tabs", attributes: { role: "tablist" } });
  /** @type {Record<string, number>} */
  const changes = { ArrowRight: 1, ArrowLeft: -1 };
  root.onkeydown = ({ key }) => {
    if (!(key in changes)) return;
    const { figures } = state;
    const index = figures.findIndex(({ name }) => name === state.figure);
    choose(figures[(index + changes[key] + figures.length) % figures.length].name);
    /** @type {HTMLElement | null} */ (root.querySelector("[aria-selected=true]"))?.focus();
  };

  /** @param {string} name */
  function choose(name) {
    state.figure = name;
    onChange();
  }

  function update() {
    const tabs = state.figures.map(({ name, title }) => {
      const isChosen = name === state.figure;
      const attributes = { role: "tab", "aria-selected": isChosen, tabindex: isChosen ? 0 : -1 };
      const properties = { dataset: { figure: name }, attributes, onclick: () => choose(name) };
      return element("button", properties, title);
    });
    root.replaceChildren(...tabs);
  }

  return { root, update };
}
