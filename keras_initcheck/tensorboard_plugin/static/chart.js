// The chart: plotly draws what the server has laid out; here it only learns how wide the page is.

import { element } from "./elements.js";
import { plotly } from "./index.js";

const NARROW = 560;
const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

export function makeChart() {
  const canvas = element("div", { className: "canvas" });
  const message = element("p", { className: "message", hidden: true });
  const root = element("div", { className: "chart" }, canvas, message);
  let drawn = null;

  /** Draws a figure. `key` tells what it is a figure of: what the user has zoomed to stays while that is the same. */
  async function show(figure, key) {
    const Plotly = await plotly;
    message.hidden = true;
    canvas.hidden = false;
    await Plotly.react(canvas, figure.data, fit(figure.layout, canvas.clientWidth, key), CONFIG);
    drawn = [figure, key];
  }

  /** Says why there is no figure. */
  function fail(error) {
    message.textContent = error.message;
    message.hidden = false;
    window.Plotly?.purge(canvas);
    canvas.hidden = true;
    drawn = null;
  }

  let width = 0;
  new ResizeObserver(() => {
    const isOther = width < NARROW !== canvas.clientWidth < NARROW;
    width = canvas.clientWidth;
    if (drawn && isOther) show(...drawn);
  }).observe(root);

  return { root, show, fail };
}

/** The layout without a size of its own, and with the legend below where the page is narrow. */
function fit(layout, width, key) {
  const fitted = { ...layout, autosize: true, width: undefined, uirevision: key };
  fitted.paper_bgcolor = fitted.plot_bgcolor = "rgba(0,0,0,0)";
  if (width < NARROW) {
    fitted.legend = { ...layout.legend, orientation: "h", x: 0, xanchor: "left", y: -0.25, yanchor: "top" };
    fitted.margin = { ...layout.margin, l: 44, r: 12 };
  }
  return fitted;
}
