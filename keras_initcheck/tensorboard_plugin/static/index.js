// The module that TensorBoard loads. Both imports are dynamic, so that the request for plotly does
// not wait for the page's other modules.

import("./plotly.js");
const page = import("./page.js");

/** TensorBoard calls this once the tab is opened. */
export const render = async () => (await page).render();
