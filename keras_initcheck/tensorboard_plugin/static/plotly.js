// Loads plotly, the largest part of the page, from the Python package that is installed.

/**
 * The part of plotly that the page uses.
 *
 * @typedef {object} Plotly
 * @property {(root: HTMLElement, data: object[], layout: object, config: object) => Promise<void>}
 *   react
 * @property {(root: HTMLElement, changes: object) => Promise<void>} relayout
 * @property {(root: HTMLElement) => void} purge
 */

const MISSING = "plotly could not be loaded from TensorBoard. Install it where TensorBoard runs: \
pip install plotly";

const script = document.createElement("script");
script.src = new URL("plotly.min.js", import.meta.url).href;
script.async = true;

/**
 * Plotly, once it is loaded.
 *
 * @type {Promise<Plotly>}
 */
export const plotly = new Promise((resolve, reject) => {
  script.onload = () => resolve(/** @type {any} */ (window).Plotly);
  script.onerror = () => reject(new Error(MISSING));
});
plotly.catch(() => {}); // reported where a figure is drawn
document.head.append(script);
