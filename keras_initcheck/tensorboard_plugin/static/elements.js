// Elements of the page, and functions that limit frequent calls. All text is set as text, never as
// HTML: names come from users.

/**
 * @typedef {Record<string, any> & {
 *   attributes?: Record<string, unknown>, dataset?: Record<string, string | undefined>,
 * }} Properties
 */

/**
 * Makes an element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties] Its properties, its attributes and its data attributes.
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { attributes = {}, dataset = {}, ...rest } = properties;
  Object.assign(made, rest);
  Object.assign(made.dataset, dataset);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children.filter((child) => child !== null));
  return made;
}

/**
 * `work`, one call at a time: calls that come in the meantime are answered by one more run.
 *
 * @param {() => unknown} work
 * @returns {() => Promise<void>}
 */
export function oneAtATime(work) {
  let isRunning = false;
  let isWantedAgain = false;
  return async () => {
    isWantedAgain = true;
    if (isRunning) return;
    isRunning = true;
    try {
      while (isWantedAgain) {
        isWantedAgain = false;
        await work();
      }
    } finally {
      isRunning = false;
    }
  };
}

/**
 * `work`, once calls have paused for that many milliseconds. `cancel` drops a call that waits.
 *
 * @param {() => unknown} work
 * @param {number} milliseconds
 */
export function afterPause(work, milliseconds) {
  let timer = 0;
  const cancel = () => clearTimeout(timer);
  const call = () => {
    cancel();
    timer = setTimeout(work, milliseconds);
  };
  return Object.assign(call, { cancel });
}

/**
 * A number with separators of thousands, and the noun that it counts.
 *
 * @param {number} number
 * @param {string} singular
 * @param {string} [plural]
 */
export function count(number, singular, plural = `${singular}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? singular : plural}`;
}

/**
 * Nodes of a text whose parts between backticks are set as code.
 *
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}
