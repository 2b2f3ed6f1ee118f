// What the user steers with: the runs, the step, the figure.

import { count, element } from "./elements.js";
import { inOrder, labelOf, state, stepOf, stepsShown } from "./state.js";

const NUM_COLOURS = 5; // of runs, in the figures and in the style sheet
const MILLISECONDS_PER_STEP = 250;

/** The runs, each a box to tick. */
export function makeRunPicker(onChange) {
  const root = element("div", { className: "runs", attributes: { role: "group", "aria-label": "Runs" } });

  function toggle(id, isShown) {
    const others = state.shown.filter((each) => each !== id);
    state.shown = inOrder(isShown ? [...others, id] : others);
    if (isShown) state.focus = id;
    else if (state.focus === id) state.focus = state.shown.at(-1);
    onChange();
  }

  function update() {
    const chips = state.series.map((series) => {
      const isShown = state.shown.includes(series.id);
      const isLast = isShown && state.shown.length === 1;
      const box = element("input", { type: "checkbox", checked: isShown, disabled: isLast, onchange: () => toggle(series.id, !isShown) });
      const chip = element("label", { className: "run", title: `${series.run}: ${series.model}, ${count(series.num_sites, "site")}` });
      chip.append(box, element("span", { className: "swatch" }), labelOf(series));
      chip.style.setProperty("--colour", isShown ? `var(--run-${state.shown.indexOf(series.id) % NUM_COLOURS})` : "var(--unknown)");
      return chip;
    });
    root.hidden = chips.length < 2;
    root.replaceChildren(...chips);
  }

  return { root, update };
}

/** The step: a slider over the steps at which there was a probe, and a button that plays them. */
export function makeStepSlider(onStep) {
  const play = element("button", { className: "icon", title: "Play the training", onclick: () => (timer ? stop() : start()) });
  const range = element("input", { type: "range", min: 0, attributes: { "aria-label": "Training step" } });
  const strip = element("div", { className: "strip", title: "Worst finding at each step" });
  const label = element("output", { className: "step" });
  const newest = element("button", { className: "text", textContent: "Newest", title: "Follow the training", onclick: () => follow() });
  const root = element("div", { className: "slider" }, play, element("div", { className: "track" }, range, strip), label, newest);
  let timer = 0;

  range.oninput = () => {
    stop();
    choose(Number(range.value));
  };

  function choose(index) {
    const steps = stepsShown();
    state.step = steps[index];
    state.isFollowing = false;
    return onStep();
  }

  function follow() {
    stop();
    state.isFollowing = !state.isFollowing;
    state.step = stepsShown().at(-1);
    onStep();
  }

  function start() {
    if (range.value === range.max) range.value = 0;
    timer = setTimeout(advance, 0, Number(range.value));
    draw();
  }

  async function advance(index) {
    const begun = performance.now();
    await choose(index);
    if (!timer) return;
    if (index >= Number(range.max)) return stop();
    timer = setTimeout(advance, Math.max(0, MILLISECONDS_PER_STEP - (performance.now() - begun)), index + 1);
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
    draw();
  }

  function draw() {
    play.textContent = timer ? "❚❚" : "▶";
    play.setAttribute("aria-label", timer ? "Pause" : "Play");
    newest.setAttribute("aria-pressed", state.isFollowing);
  }

  function update() {
    const steps = stepsShown();
    const index = steps.indexOf(state.step);
    root.hidden = steps.length === 0;
    range.disabled = play.disabled = steps.length < 2;
    newest.hidden = steps.length < 2;
    range.max = Math.max(steps.length - 1, 0);
    range.value = index;
    const what = index === 0 ? "first probe" : `probe ${index + 1}`;
    label.replaceChildren(element("b", {}, `step ${state.step.toLocaleString("en")}`), ` ${what} of ${steps.length}`);
    strip.style.background = gradient(steps.map(severityAt));
    draw();
  }

  return { root, update, stop };
}

/** The worst severity of the run in focus at its probe for that step. */
function severityAt(step) {
  const { steps, severities } = state.steps.get(state.focus) ?? { steps: [], severities: [] };
  return severities[steps.indexOf(stepOf(state.focus, step))] ?? "unknown";
}

/** A picture of equal pieces, each in its severity's colour; neighbours of one colour are one piece. */
function gradient(severities) {
  const pieces = severities.flatMap((severity, index) => {
    if (severity === severities[index - 1]) return [];
    const next = severities.findIndex((other, later) => later > index && other !== severity);
    const percent = (place) => `${((100 * place) / severities.length).toFixed(2)}%`;
    return [`var(--${severity}) ${percent(index)} ${percent(next < 0 ? severities.length : next)}`];
  });
  return `linear-gradient(to right, ${pieces.join(", ")})`;
}

/** The figures, as tabs. */
export function makeFigureTabs(onChange) {
  const root = element("div", { className: "tabs", attributes: { role: "tablist" } });
  root.onkeydown = (event) => {
    const change = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!change) return;
    const index = state.figures.findIndex(({ name }) => name === state.figure);
    choose(state.figures.at((index + change) % state.figures.length).name);
    root.querySelector("[aria-selected=true]").focus();
  };

  function choose(name) {
    state.figure = name;
    onChange();
  }

  function update() {
    const tabs = state.figures.map(({ name, title }) => {
      const isChosen = name === state.figure;
      const attributes = { role: "tab", "aria-selected": isChosen, tabindex: isChosen ? 0 : -1 };
      return element("button", { textContent: title, dataset: { figure: name }, attributes, onclick: () => choose(name) });
    });
    root.replaceChildren(...tabs);
  }

  return { root, update };
}
