// What the user looks at, and what follows from it. Neither elements nor requests are made here.

/** @import { FigureTab, KnownSeries, Series, Severity, Steps } from "./api.js" */

import { readAddress, writeAddress } from "./host.js";

const MOST_SHOWN_AT_FIRST = 4;

/** @type {(Severity | null | undefined)[]} */
const SEVERITIES = ["ok", "info", "warning", "error"];

export const state = {
  /** @type {KnownSeries[]} All series that the log contains. */
  series: [],
  /** @type {Map<string, Steps>} Steps of the series by id. */
  steps: new Map(),
  /** @type {string[]} Ids of the series that are drawn over one another. */
  shown: [],
  /** Id of the series whose findings are shown. */
  focus: "",
  step: 0,
  /** Whether the newest step is shown. */
  isFollowing: false,
  /** @type {FigureTab[]} */
  figures: [],
  figure: "",
  isDark: false,
};

/** @param {Series} series */
export const idOf = (series) => `${series.sites}/${series.run}`;

/**
 * The series with an id, which must be known.
 *
 * @param {string} id
 */
export const find = (id) =>
  /** @type {KnownSeries} */ (state.series.find((series) => series.id === id));
export const shownSeries = () => state.shown.map(find);
export const currentFigure = () => state.figures.find((figure) => figure.name === state.figure);

/** @param {Series} series */
const isOnlyOfRun = (series) =>
  state.series.filter((other) => other.run === series.run).length === 1;

/**
 * A run's name, with the model and the start of its hash if the run has several series.
 *
 * @param {Series} series
 */
export const labelOf = (series) =>
  isOnlyOfRun(series)
    ? series.label
    : `${series.label} · ${series.model} ${series.sites.slice(0, 4)}`;

/** Steps of all series that are shown, in ascending order. */
export function stepsShown() {
  const steps = state.shown.flatMap((id) => state.steps.get(id)?.steps ?? []);
  return [...new Set(steps)].sort((a, b) => a - b);
}

/**
 * The newest step of a series up to the chosen one, or its first; `undefined` if it has none.
 *
 * @param {string} id
 * @param {number} [chosen]
 */
export function stepOf(id, chosen = state.step) {
  const steps = state.steps.get(id)?.steps ?? [];
  return steps.findLast((step) => step <= chosen) ?? steps[0];
}

/**
 * Severity of a series at the probe that is shown for a step.
 *
 * @param {string} id
 * @param {number} [chosen]
 */
export function severityOf(id, chosen = state.step) {
  const known = state.steps.get(id);
  return known?.severities[known.steps.indexOf(stepOf(id, chosen))];
}

/**
 * Ids in the order of the list of series, so that each run keeps its color.
 *
 * @param {string[]} ids
 */
export const inOrder = (ids) =>
  state.series.map((series) => series.id).filter((id) => ids.includes(id));

/**
 * Replaces the list of series; the user's choice is kept as far as the series still exist.
 *
 * @param {Series[]} series
 */
export function takeSeries(series) {
  state.series = series.map((each) => ({ ...each, id: idOf(each) }));
  state.shown = state.shown.filter(find);
  if (state.shown.length === 0) {
    state.shown = state.series.slice(-MOST_SHOWN_AT_FIRST).map((each) => each.id);
  }
  if (!state.shown.includes(state.focus)) state.focus = state.shown[0] ?? "";
}

/** Moves to the newest step, or to the one nearest to the user's choice. */
export function settleStep() {
  const steps = stepsShown();
  if (steps.length === 0) return;
  const distance = (/** @type {number} */ step) => Math.abs(step - state.step);
  const nearest = steps.reduce((a, b) => (distance(b) < distance(a) ? b : a));
  state.step = state.isFollowing ? steps[steps.length - 1] : nearest;
}

/** Moves to the run with the worst findings, unless the address names a run. */
export function settleFocus() {
  if (readAddress().run?.length) return;
  const rank = (/** @type {string} */ id) => SEVERITIES.indexOf(severityOf(id));
  state.focus = state.shown.reduce((a, b) => (rank(b) > rank(a) ? b : a));
}

/** Takes the choice from the address, in which runs may be named without their hash. */
export function readChoice() {
  const { run = [], step = [], figure = [] } = readAddress();
  const isNamed = (/** @type {string} */ name) => (/** @type {KnownSeries} */ each) =>
    each.run === name || each.id === name;
  const chosen = run.flatMap((name) => state.series.filter(isNamed(name))).map((each) => each.id);
  if (chosen.length) [state.shown, state.focus] = [inOrder(chosen), chosen[0]];
  if (step.length) state.isFollowing = step[0] === "last";
  if (Number.isFinite(Number(step[0]))) state.step = Number(step[0]);
  if (state.figures.some(({ name }) => name === figure[0])) state.figure = figure[0];
}

/** Writes the choice to the address, with the run in focus first. */
export function writeChoice() {
  const ids = [state.focus, ...state.shown.filter((id) => id !== state.focus)];
  const run = ids.map(find).map((series) => (isOnlyOfRun(series) ? series.run : series.id));
  const step = [state.isFollowing ? "last" : String(state.step)];
  writeAddress({ run, step, figure: [state.figure] });
}
