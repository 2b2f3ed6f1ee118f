// The page: what it is made of, and how a choice becomes a picture.

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
const page = element(
  "main",
  { hidden: true },
  element("div", { className: "top" }, verdict.root, element("div", { className: "controls" }, runs.root, slider.root)),
  element("div", { className: "middle" }, element("section", { className: "figure" }, tabs.root, chart.root, caption), findings.root),
  table.root,
);

const styleSheet = (name) => element("link", { rel: "stylesheet", href: new URL(name, import.meta.url) });

/** Builds the page. */
export async function render() {
  document.documentElement.lang = "en";
  document.head.append(element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }), ...STYLES.map(styleSheet));
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

/** Looks for new data now and then, while the page is visible. TensorBoard's own reload is off by default. */
async function lookAgain() {
  if (!document.hidden) await refresh();
  setTimeout(lookAgain, state.series.length ? MILLISECONDS_BETWEEN_LOOKS : MILLISECONDS_BETWEEN_FIRST_LOOKS);
}

const refresh = oneAtATime(async () => {
  try {
    const isFirst = state.series.length === 0;
    const [{ series }, { figures }] = await Promise.all([api.loadSeries(), api.loadFigures().catch(withoutFigures)]);
    chosen.takeSeries(series);
    state.figures = figures;
    state.figure ||= figures[0]?.name ?? "";
    if (state.series.length === 0) return tell(...emptyNotice());
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
    tell(element("h1", {}, "The probes cannot be read"), element("p", {}, error.message), retry());
  }
});

/** Asks for the first picture before the steps are known: it is most often that of the first step. */
function askEarly() {
  const first = chosen.shownSeries().filter((each) => each.first_step === state.step);
  const figure = chosen.currentFigure();
  if (!figure || figure.over_steps || first.length < state.shown.length) return;
  const drawn = figure.is_single ? [chosen.find(state.focus)] : first;
  api.loadFigureOfStep(figure.name, state.isDark, drawn.map((each) => [each, state.step])).catch(() => {});
}

/** The page without figures: verdict, findings and table need no plotly. */
function withoutFigures(error) {
  chart.fail(error);
  return { figures: [] };
}

async function loadSteps(series) {
  state.steps.set(series.id, await api.loadSteps(series));
}

/** Shows a message instead of the page. */
function tell(...content) {
  notice.replaceChildren(...content);
  notice.hidden = false;
  page.hidden = true;
  document.body.dataset.ready = "notice";
}

const retry = () => element("button", { className: "text", textContent: "Try again", onclick: () => refresh() });

function emptyNotice() {
  return [
    element("h1", {}, "No probes in this log directory yet"),
    element("p", {}, "Add the callback to a training, and its first batch shows here, before the first update:"),
    element("pre", {}, element("code", {}, SNIPPET)),
    element("p", {}, "Then start TensorBoard on the same directory. This page looks for new data by itself."),
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

/** What waits until the picture is drawn and the slider rests, and takes no time from them: the details, and then the steps nearby. */
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

/** Series and step of what is drawn. */
function probesShown(figure, step) {
  const series = figure.is_single ? [chosen.find(state.focus)] : chosen.shownSeries();
  return series.map((each) => [each, chosen.stepOf(each.id, step)]).filter(([, found]) => found !== undefined);
}

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
    if (error.status === 404) refresh();
    chart.fail(error);
  }
  document.body.dataset.runs = state.shown.length;
  document.body.dataset.ready = `${figure.name} ${step} ${state.isDark ? "dark" : "light"}`;
  performance.mark("initcheck");
  rest();
});

/** Asks for the steps nearby, one after the other, before somebody plays or slides to them. */
async function prepare() {
  const { step } = state;
  const figure = chosen.currentFigure();
  const steps = chosen.stepsShown();
  for (const distance of STEPS_NEARBY) {
    const next = steps[steps.indexOf(step) + distance];
    if (state.step !== step || chosen.currentFigure() !== figure) return;
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
    if (error.status === 404) return refresh();
    tell(element("h1", {}, "The probe cannot be read"), element("p", {}, error.message), retry());
  }
});
