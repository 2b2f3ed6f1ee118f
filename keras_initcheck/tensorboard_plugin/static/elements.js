// Elements of the page, and functions that tame frequent calls. All text is set as text: names come from users.

/** An element with properties, attributes (in `attributes`) and children (elements or text). */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { attributes = {}, dataset = {}, ...rest } = properties;
  Object.assign(made, rest);
  Object.assign(made.dataset, dataset);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** `work`, one call at a time: what is asked for meanwhile is done once, afterwards. */
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

/** `work`, once calls have paused for that many milliseconds; `cancel` calls it off. */
export function afterPause(work, milliseconds) {
  let timer = 0;
  const cancel = () => clearTimeout(timer);
  const call = () => {
    cancel();
    timer = setTimeout(work, milliseconds);
  };
  return Object.assign(call, { cancel });
}

/** A number with separators of thousands. */
export function count(number, singular, plural = `${singular}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? singular : plural}`;
}

/** Text in which `what stands between backticks` is set as code. */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}
