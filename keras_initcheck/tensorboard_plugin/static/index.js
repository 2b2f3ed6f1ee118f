// What TensorBoard loads first: it sends for plotly, the largest part, before it even knows the rest of the page.

const script = document.createElement("script");
script.src = new URL("plotly.min.js", import.meta.url);
script.async = true;

/** Plotly, from the installed Python package. */
export const plotly = new Promise((resolve, reject) => {
  script.onload = () => resolve(window.Plotly);
  script.onerror = () => reject(new Error("plotly is missing where TensorBoard runs. Install it with: pip install plotly"));
});
plotly.catch(() => {}); // whoever draws is told
document.head.append(script);

const page = import("./page.js");

/** What TensorBoard calls once the tab is opened. */
export const render = async () => (await page).render();
