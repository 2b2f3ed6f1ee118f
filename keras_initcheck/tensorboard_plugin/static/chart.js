// The chart: plotly draws what the server has laid out. Here it only gets the page's width, and a line at the step in view.

import { element } from "./elements.js";
import { plotly } from "./index.js";

const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

export function makeChart() {
  const canvas = element("div", { className: "canvas" });
  const message = element("p", { className: "message", hidden: true });
  const root = element("div", { className: "chart" }, canvas, message);
  let drawn = null;

  /**
   * Draws a figure. What the user has zoomed to stays while `key` is the same.
   * `step` is the step to mark in a figure over steps, else undefined.
   */
  async function show(figure, key, step) {
    const Plotly = await plotly;
    message.hidden = true;
    canvas.hidden = false;
    const shapes = step === undefined ? [] : [lineAt(step, figure.layout)];
    if (figure === drawn) return Plotly.relayout(canvas, { shapes });
    await Plotly.react(canvas, figure.data, { ...figure.layout, shapes, autosize: true, uirevision: key }, CONFIG);
    drawn = figure;
  }

  /** Says why there is no figure. */
  function fail(error) {
    message.textContent = error.message;
    message.hidden = false;
    window.Plotly?.purge(canvas);
    canvas.hidden = true;
    drawn = null;
  }

  return { root, show, fail, isShowing: () => drawn !== null };
}

function lineAt(step, layout) {
  const line = { color: layout.font.color, width: 1.5, dash: "dot" };
  return { type: "line", x0: step, x1: step, yref: "paper", y0: 0, y1: 1, line };
}
