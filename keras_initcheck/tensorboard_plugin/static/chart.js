// The chart. The server lays a figure out, plotly draws it; only the page's width and a line at the
// step in view are added here.

/** @import { Figure } from "./api.js" */

import { element } from "./elements.js";
import { plotly } from "./plotly.js";

const CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

export function makeChart() {
  const canvas = element("div", { className: "canvas" });
  const message = element("p", { className: "message", hidden: true });
  const root = element("div", { className: "chart" }, canvas, message);
  /** @type {Figure | null} */
  let drawn = null;

  /**
   * Draws a figure.
   *
   * @param {Figure} figure
   * @param {string} key The zoom that the user chose is kept while this is unchanged.
   * @param {number} [step] The step to mark in a figure over steps.
   */
  async function show(figure, key, step) {
    const Plotly = await plotly;
    message.hidden = true;
    canvas.hidden = false;
    const shapes = step === undefined ? [] : [lineAt(step, figure.layout)];
    if (figure === drawn) return Plotly.relayout(canvas, { shapes });
    const layout = { ...figure.layout, shapes, autosize: true, uirevision: key };
    await Plotly.react(canvas, figure.data, layout, CONFIG);
    drawn = figure;
  }

  /**
   * Shows the reason why there is no figure.
   *
   * @param {Error} error
   */
  function fail(error) {
    message.textContent = error.message;
    message.hidden = false;
    plotly.then((Plotly) => Plotly.purge(canvas)).catch(() => {});
    canvas.hidden = true;
    drawn = null;
  }

  return { root, show, fail, isShowing: () => drawn !== null };
}

/**
 * A vertical line, as a shape for plotly.
 *
 * @param {number} step
 * @param {Figure["layout"]} layout
 */
function lineAt(step, layout) {
  const line = { color: layout.font.color, width: 1.5, dash: "dot" };
  return { type: "line", x0: step, x1: step, yref: "paper", y0: 0, y1: 1, line };
}
