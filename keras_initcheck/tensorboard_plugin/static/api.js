// Requests to the plugin's routes. They are relative to this file, so that they work below any
// path. Responses that cannot change are kept.

/**
 * What the routes respond with, as `routes.py` documents it.
 *
 * @typedef {object} Series Probes of one run that have the same sites.
 * @property {string} run
 * @property {string} label
 * @property {string} sites Hash of the list of sites.
 * @property {string} model
 * @property {number} num_sites
 * @property {number | null} first_step
 * @property {number} last_step
 * @property {string} stamp Changes with every new probe.
 *
 * @typedef {Series & { id: string }} KnownSeries A series with its address, `<sites>/<run>`.
 *
 * @typedef {"error" | "warning" | "info" | "ok"} Severity
 *
 * @typedef {object} Steps
 * @property {number[]} steps
 * @property {number[]} wall_times Seconds since 1970.
 * @property {(Severity | null)[]} severities
 *
 * @typedef {object} FigureTab
 * @property {string} name
 * @property {string} title
 * @property {string} caption
 * @property {boolean} over_steps
 * @property {boolean} is_single
 *
 * @typedef {{ data: object[], layout: { font: { color: string } } }} Figure
 *
 * @typedef {object} Finding
 * @property {string} code
 * @property {string} slug
 * @property {"error" | "warning" | "info"} severity
 * @property {string | null} site
 * @property {string | null} layer
 * @property {string} message
 * @property {string} expected
 * @property {string} why
 * @property {string} fix
 * @property {string} [details]
 * @property {string[]} [span]
 *
 * @typedef {number | string | null} Value
 *
 * @typedef {object} Column
 * @property {string} title
 * @property {string} hint
 * @property {boolean} is_number
 * @property {Value[]} values
 * @property {string[]} texts
 *
 * @typedef {object} Probe
 * @property {boolean} ok
 * @property {string} verdict
 * @property {Severity | null} severity
 * @property {number} num_findings
 * @property {Finding[]} findings
 * @property {{ columns: Column[], severities: (Severity | null)[] }} table
 */

const ROOT = new URL("../", import.meta.url);
const MOST_KEPT = 600;

/** @type {Map<string, Promise<any>>} */
const kept = new Map();

/** The plugin's own words for a request that failed. */
export class RequestError extends Error {
  /**
   * @param {string} message
   * @param {number} status Of HTTP.
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * Sends a request and returns its JSON; a list is an argument that is repeated.
 *
 * @param {string} route
 * @param {Record<string, string | number | string[]>} [parameters]
 * @returns {Promise<any>}
 */
async function get(route, parameters = {}) {
  const address = new URL(route, ROOT);
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) address.searchParams.append(name, String(each));
  }
  const response = await fetch(address).catch(() => {
    throw new Error("TensorBoard does not respond. Is it still running?");
  });
  const { status, statusText } = response;
  const unreadable = { error: `TensorBoard responded with ${status} ${statusText}.` };
  const content = await response.json().catch(() => unreadable);
  if (!response.ok) throw new RequestError(content.error, status);
  return content;
}

/**
 * As `get`, once for each version of the data.
 *
 * @param {string} version
 * @param {string} route
 * @param {Record<string, string | number | string[]>} parameters
 * @returns {Promise<any>}
 */
function getOnce(version, route, parameters) {
  const key = JSON.stringify([version, route, parameters]);
  const promise = kept.get(key) ?? get(route, parameters);
  // A map iterates in order of insertion: the first key is the one that was least recently used.
  kept.delete(key);
  kept.set(key, promise);
  promise.catch(() => kept.delete(key));
  const oldest = kept.keys().next().value;
  if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest);
  return promise;
}

/**
 * Address of one probe of a series.
 *
 * @param {Series} series
 * @param {number} step
 */
const addressOf = (series, step) => `${series.sites}/${step}/${series.run}`;

/** @returns {Promise<{ series: Series[] }>} */
export const loadSeries = () => get("series");

/** @returns {Promise<{ figures: FigureTab[] }>} */
export const loadFigures = () => getOnce("", "figures", {});

/**
 * @param {KnownSeries} series
 * @returns {Promise<Steps>}
 */
export const loadSteps = (series) => getOnce(series.stamp, "steps", { series: series.id });

/**
 * @param {Series} series
 * @param {number} step
 * @returns {Promise<Probe>}
 */
export const loadProbe = (series, step) => getOnce("", "probe", { probe: addressOf(series, step) });

/**
 * A figure of one probe of each series.
 *
 * @param {string} name
 * @param {boolean} dark
 * @param {[Series, number][]} chosen Each series with its step.
 * @returns {Promise<Figure>}
 */
export function loadFigureOfStep(name, dark, chosen) {
  const probe = chosen.map(([series, step]) => addressOf(series, step));
  return getOnce("", "figure", { name, dark: Number(dark), probe });
}

/**
 * A figure of all probes of a series.
 *
 * @param {string} name
 * @param {boolean} dark
 * @param {KnownSeries} series
 * @returns {Promise<Figure>}
 */
export const loadFigureOverSteps = (name, dark, series) =>
  getOnce(series.stamp, "figure", { name, dark: Number(dark), series: series.id });
