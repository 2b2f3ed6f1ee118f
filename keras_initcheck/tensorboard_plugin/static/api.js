// Requests to the plugin's routes, relative to this file, so that they work below any path. Answers that cannot change are kept.

const ROOT = new URL("../", import.meta.url);
const MOST_KEPT = 600;

const kept = new Map();

async function get(route, parameters = {}) {
  const address = new URL(route, ROOT);
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) address.searchParams.append(name, each);
  }
  let answer;
  try {
    answer = await fetch(address);
  } catch {
    throw new Error("TensorBoard does not answer. Is it still running?");
  }
  const content = await answer.json().catch(() => ({ error: `TensorBoard answers ${answer.status} ${answer.statusText}.` }));
  if (!answer.ok) throw Object.assign(new Error(content.error), { status: answer.status });
  return content;
}

/** As `get`, once for each version of the data. */
function getOnce(version, route, parameters) {
  const key = JSON.stringify([version, route, parameters]);
  const promise = kept.get(key) ?? get(route, parameters);
  kept.delete(key);
  kept.set(key, promise);
  promise.catch(() => kept.delete(key));
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  return promise;
}

/** Address of one probe of a series. */
const addressOf = (series, step) => `${series.sites}/${step}/${series.run}`;

export const loadSeries = () => get("series");
export const loadFigures = () => getOnce("", "figures", {});
export const loadSteps = (series) => getOnce(series.stamp, "steps", { series: series.id });
export const loadProbe = (series, step) => getOnce("", "probe", { probe: addressOf(series, step) });

/** A figure of one probe of each series. */
export const loadFigureOfStep = (name, dark, chosen) =>
  getOnce("", "figure", { name, dark: Number(dark), probe: chosen.map(([series, step]) => addressOf(series, step)) });

/** A figure of all probes of a series. */
export const loadFigureOverSteps = (name, dark, series) =>
  getOnce(series.stamp, "figure", { name, dark: Number(dark), series: series.id });
