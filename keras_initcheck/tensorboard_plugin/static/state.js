// What the user looks at, and what follows from it. No elements and no requests.

import { readAddress, writeAddress } from "./host.js";

const MOST_SHOWN_AT_FIRST = 4;
const SEVERITIES = ["ok", "info", "warning", "error"];

export const state = {
  series: [], // all there are
  steps: new Map(), // id of a series -> its steps, times and severities
  shown: [], // ids of the series that are drawn over one another
  focus: "", // id of the one whose findings are told
  step: 0,
  isFollowing: false, // whether the newest step is shown
  figures: [],
  figure: "",
  isDark: false,
};

export const idOf = (series) => `${series.sites}/${series.run}`;
export const find = (id) => state.series.find((series) => series.id === id);
export const shownSeries = () => state.shown.map(find);
export const currentFigure = () => state.figures.find((figure) => figure.name === state.figure);

const isOnlyOfRun = (series) => state.series.filter((other) => other.run === series.run).length === 1;

/** A run's name, with the model and the start of its hash where the run has several. */
export const labelOf = (series) => (isOnlyOfRun(series) ? series.label : `${series.label} · ${series.model} ${series.sites.slice(0, 4)}`);

/** Steps of all the series that are shown, in order. */
export function stepsShown() {
  const steps = state.shown.flatMap((id) => state.steps.get(id)?.steps ?? []);
  return [...new Set(steps)].sort((a, b) => a - b);
}

/** The series' newest step up to the chosen one, or its first; `undefined` if it has none. */
export function stepOf(id, chosen = state.step) {
  const steps = state.steps.get(id)?.steps ?? [];
  return steps.findLast((step) => step <= chosen) ?? steps[0];
}

/** Those ids in the order of the list, so that a run keeps its colour. */
export const inOrder = (ids) => state.series.map((series) => series.id).filter((id) => ids.includes(id));

/** Takes over a new list of series, and keeps of the user's choice what is still there. */
export function takeSeries(series) {
  state.series = series.map((each) => ({ ...each, id: idOf(each) }));
  state.shown = state.shown.filter(find);
  if (state.shown.length === 0) state.shown = state.series.slice(-MOST_SHOWN_AT_FIRST).map((each) => each.id);
  if (!state.shown.includes(state.focus)) state.focus = state.shown[0] ?? "";
}

/** The step to show: the newest, or the one that is nearest to what was chosen. */
export function settleStep() {
  const steps = stepsShown();
  if (steps.length === 0) return;
  state.step = state.isFollowing ? steps.at(-1) : steps.reduce((a, b) => (Math.abs(b - state.step) < Math.abs(a - state.step) ? b : a));
}

/** Looks at the worst of the runs, unless the address names one. */
export function settleFocus() {
  if (readAddress().run?.length) return;
  const rank = (id) => {
    const { steps, severities } = state.steps.get(id);
    return SEVERITIES.indexOf(severities[steps.indexOf(stepOf(id))]);
  };
  state.focus = state.shown.reduce((a, b) => (rank(b) > rank(a) ? b : a));
}

/** Chooses what the address says. Runs may be named without their hash. */
export function readChoice() {
  const { run = [], step = [], figure = [] } = readAddress();
  const chosen = run.flatMap((name) => state.series.filter((each) => each.run === name || each.id === name)).map((each) => each.id);
  if (chosen.length) [state.shown, state.focus] = [inOrder(chosen), chosen[0]];
  if (step.length) state.isFollowing = step[0] === "last";
  if (Number.isFinite(Number(step[0]))) state.step = Number(step[0]);
  if (state.figures.some(({ name }) => name === figure[0])) state.figure = figure[0];
}

/** Notes the choice in the address. The focus comes first among the runs. */
export function writeChoice() {
  const ids = [state.focus, ...state.shown.filter((id) => id !== state.focus)];
  const run = ids.map(find).map((series) => (isOnlyOfRun(series) ? series.run : series.id));
  writeAddress({ run, step: [state.isFollowing ? "last" : String(state.step)], figure: [state.figure] });
}
