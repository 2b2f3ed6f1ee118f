// The page: its parts, and how the user's choice becomes a picture.

/** @import { FigureTab, KnownSeries, Series } from "./api.js" */

import * as api from "./api.js";
import { makeChart } from "./chart.js";
import { makeFigureTabs, makeRunPicker, makeStepSlider } from "./controls.js";
import { afterPause, element, oneAtATime } from "./elements.js";
import { makeFindings, makeVerdict } from "./findings.js";
import * as host from "./host.js";
import * as chosen from "./state.js";
import { makeTable } from "./table.js";

const { state } = chosen;

const MILLISECONDS_BETWEEN_LOOKS = 10_000;
const MILLISECONDS_BETWEEN_FIRST_LOOKS = 3_000;
const MILLISECONDS_OF_REST = 80;
const STEPS_NEARBY = [1, 2, -1, 3];
const STYLES = ["theme.css", "page.css", "details.css"];

const SNIPPET = `import keras_initcheck

model.fit(
    x, y,
    callbacks=[keras_initcheck.InitCheck("logs")],
)`;

const verdict = makeVerdict();
const runs = makeRunPicker(() => refresh());
const slider = makeStepSlider(() => changeStep());
const tabs = makeFigureTabs(() => changeFigure());
const chart = makeChart();
const caption = element("p", { className: "caption" });
const table = makeTable();
const findings = makeFindings(() => changeFocus(), table.reveal);
const notice = element("section", { className: "notice", hidden: true });
const controls = element("div", { className: "controls" }, runs.root, slider.root);
const figureSection = element("section", { className: "figure" }, tabs.root, chart.root, caption);
const page = element(
  "main",
  { hidden: true },
  element("div", { className: "top" }, verdict.root, controls),
  element("div", { className: "middle" }, figureSection, findings.root),
  table.root,
);

/** @param {string} name */
const styleSheet = (name) =>
  element("link", { rel: "stylesheet", href: new URL(name, import.meta.url).href });

/** Builds the page. */
export async function render() {
  document.documentElement.lang = "en";
  const viewport = { name: "viewport", content: "width=device-width, initial-scale=1" };
  document.head.append(element("meta", viewport), ...STYLES.map(styleSheet));
  document.body.append(notice, page);
  host.watchTheme((isDark) => {
    state.isDark = isDark;
    document.body.classList.toggle("dark", isDark);
    if (state.shown.length) drawFigure();
  });
  host.watchReload(() => refresh());
  host.watchAddress(() => {
    chosen.readChoice();
    refresh();
  });
  lookAgain();
}

/**
 * Checks for new data periodically, while the page is visible. TensorBoard's own reload is off by
 * default.
 */
async function lookAgain() {
  if (!document.hidden) await refresh();
  const hasData = state.series.length > 0;
  setTimeout(lookAgain, hasData ? MILLISECONDS_BETWEEN_LOOKS : MILLISECONDS_BETWEEN_FIRST_LOOKS);
}

const refresh = oneAtATime(async () => {
  try {
    const isFirst = state.series.length === 0;
    const [{ series }, { figures }] = await Promise.all([api.loadSeries(), api.loadFigures()]);
    chosen.takeSeries(series);
    state.figures = figures;
    state.figure ||= figures[0]?.name ?? "";
    if (state.series.length === 0) return showNotice(...emptyNotice());
    if (isFirst) {
      state.step = Math.min(...state.series.map((each) => each.first_step ?? each.last_step));
      chosen.readChoice();
      askEarly();
    }
    await Promise.all(chosen.shownSeries().map(loadSteps));
    chosen.settleStep();
    if (isFirst) chosen.settleFocus();
    notice.hidden = true;
    page.hidden = false;
    await draw();
  } catch (error) {
    showFailure("The probes cannot be read", error);
  }
});

/**
 * Requests the first picture before the steps are known: it is usually the one of the first step.
 */
function askEarly() {
  const first = chosen.shownSeries().filter((each) => each.first_step === state.step);
  const figure = chosen.currentFigure();
  if (!figure || figure.over_steps || first.length < state.shown.length) return;
  const drawn = figure.is_single ? [chosen.find(state.focus)] : first;
  const probes = drawn.map(atStep(state.step));
  api.loadFigureOfStep(figure.name, state.isDark, probes).catch(() => {});
}

/**
 * Pairs a series with a step.
 *
 * @param {number} step
 * @returns {(series: Series) => [Series, number]}
 */
const atStep = (step) => (series) => [series, step];

/** @param {KnownSeries} series */
async function loadSteps(series) {
  state.steps.set(series.id, await api.loadSteps(series));
}

/**
 * Shows what went wrong instead of the page.
 *
 * @param {string} title
 * @param {unknown} error
 */
function showFailure(title, error) {
  const { message } = /** @type {Error} */ (error);
  const retry = element("button", { className: "text", onclick: () => refresh() }, "Try again");
  showNotice(element("h1", {}, title), element("p", {}, message), retry);
}

/**
 * Shows a message instead of the page.
 *
 * @param {...Node} content
 */
function showNotice(...content) {
  notice.replaceChildren(...content);
  notice.hidden = false;
  page.hidden = true;
  document.body.dataset.ready = "notice";
}

function emptyNotice() {
  const how = "Add the callback to a training. A probe of its first batch appears here, before the \
first update:";
  const where = "Then start TensorBoard on the same directory. This page checks for new data by \
itself.";
  return [
    element("h1", {}, "No probes in this log directory yet"),
    element("p", {}, how),
    element("pre", {}, element("code", {}, SNIPPET)),
    element("p", {}, where),
    element("pre", {}, element("code", {}, "tensorboard --logdir logs")),
  ];
}

async function changeStep() {
  slider.update();
  await drawFigure();
}

function changeFigure() {
  tabs.update();
  chosen.writeChoice();
  drawFigure();
}

function changeFocus() {
  chosen.writeChoice();
  slider.update();
  drawDetails();
  if (chosen.currentFigure()?.is_single) drawFigure();
}

/**
 * Draws the details and then prepares the nearby steps, once the picture is drawn and the slider
 * rests, so that neither is slowed down.
 */
const rest = afterPause(async () => {
  chosen.writeChoice();
  await drawDetails();
  if (chart.isShowing() && !chosen.currentFigure()?.over_steps) await prepare();
}, MILLISECONDS_OF_REST);

async function draw() {
  runs.update();
  slider.update();
  tabs.update();
  chosen.writeChoice();
  await Promise.all([drawFigure(), drawDetails()]);
}

/**
 * Each series that a figure of one step shows, with its step.
 *
 * @param {FigureTab} figure
 * @param {number} step
 * @returns {[Series, number][]}
 */
function probesShown(figure, step) {
  const shown = figure.is_single ? [chosen.find(state.focus)] : chosen.shownSeries();
  return shown.flatMap((series) => {
    const own = chosen.stepOf(series.id, step);
    return own === undefined ? [] : [atStep(own)(series)];
  });
}

/**
 * @param {FigureTab} figure
 * @param {number} step
 */
const loadFigure = (figure, step) =>
  figure.over_steps
    ? api.loadFigureOverSteps(figure.name, state.isDark, chosen.find(state.focus))
    : api.loadFigureOfStep(figure.name, state.isDark, probesShown(figure, step));

const drawFigure = oneAtATime(async () => {
  const figure = chosen.currentFigure();
  const { step } = state;
  rest.cancel();
  if (!figure) return rest();
  try {
    const mark = figure.over_steps ? chosen.stepOf(state.focus, step) : undefined;
    await chart.show(await loadFigure(figure, step), `${figure.name} ${state.shown}`, mark);
    caption.textContent = figure.caption;
  } catch (error) {
    if (isGone(error)) refresh();
    chart.fail(/** @type {Error} */ (error));
  }
  document.body.dataset.runs = String(state.shown.length);
  document.body.dataset.ready = `${figure.name} ${step} ${state.isDark ? "dark" : "light"}`;
  performance.mark("initcheck");
  rest();
});

/**
 * Whether the server no longer has what was requested.
 *
 * @param {unknown} error
 */
const isGone = (error) => error instanceof api.RequestError && error.status === 404;

/** Requests the nearby steps, one after the other, before somebody plays or slides to them. */
async function prepare() {
  const { step } = state;
  const figure = chosen.currentFigure();
  const steps = chosen.stepsShown();
  for (const distance of STEPS_NEARBY) {
    const next = steps[steps.indexOf(step) + distance];
    if (!figure || state.step !== step || chosen.currentFigure() !== figure) return;
    if (next !== undefined) await loadFigure(figure, next).catch(() => {});
  }
}

const drawDetails = oneAtATime(async () => {
  const { focus } = state;
  try {
    const [series, step] = [chosen.find(focus), chosen.stepOf(focus)];
    const probe = await api.loadProbe(series, step);
    verdict.update(probe, series, step);
    findings.update(probe);
    table.update(probe);
    document.body.dataset.details = `${focus} ${state.step}`;
  } catch (error) {
    if (isGone(error)) return refresh();
    showFailure("The probe cannot be read", error);
  }
});
