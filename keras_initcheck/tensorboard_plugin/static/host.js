// The page around the tab, which is TensorBoard's or none: its theme, its address, and its messages
// that data were reloaded.

const PREFIX = "p.initcheck.";
const TAB = "#initcheck";

const hasHost = window.parent !== window;

/** TensorBoard's window if the tab is inside one that may be read, else this window. */
function outer() {
  try {
    return hasHost && window.parent.document ? window.parent : window;
  } catch {
    return window;
  }
}

/**
 * Reports whether the page is dark, at once and whenever that changes.
 *
 * @param {(isDark: boolean) => void} callback
 */
export function watchTheme(callback) {
  const host = outer();
  const preference = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () =>
    host === window ? preference.matches : host.document.body.classList.contains("dark-mode");
  /** @type {boolean | null} */
  let before = null;
  const report = () => {
    if (isDark() !== before) callback((before = isDark()));
  };
  if (host === window) {
    preference.addEventListener("change", report);
  } else {
    const observer = new MutationObserver(report);
    observer.observe(host.document.body, { attributes: true, attributeFilter: ["class"] });
  }
  report();
}

/**
 * Reads the address: lists of strings by name.
 *
 * @returns {Record<string, string[]>}
 */
export function readAddress() {
  /** @type {Record<string, string[]>} */
  const found = {};
  for (const part of outer().location.hash.slice(1).split("&")) {
    const [name, value = ""] = part.split("=", 2);
    if (!name.startsWith(PREFIX)) continue;
    try {
      (found[name.slice(PREFIX.length)] ??= []).push(decodeURIComponent(value));
    } catch {
      // an incomplete escape sequence: somebody has cut the address short
    }
  }
  return found;
}

/**
 * Writes lists of strings to the address, without a step in the history.
 *
 * @param {Record<string, string[]>} values
 */
export function writeAddress(values) {
  const host = outer();
  const { hash } = host.location;
  const isOurs = host === window || hash === "" || hash.startsWith(TAB);
  if (!isOurs) return;
  const parts = Object.entries(values).flatMap(([name, list]) =>
    list.map((value) => `${PREFIX}${name}=${encodeURIComponent(value)}`),
  );
  host.history.replaceState(host.history.state, "", [TAB, ...parts].join("&"));
}

/**
 * Calls back when somebody edits the address or follows a link.
 *
 * @param {() => void} callback
 */
export function watchAddress(callback) {
  outer().addEventListener("hashchange", () => {
    if (outer().location.hash.startsWith(TAB)) callback();
  });
}

/**
 * Calls back when TensorBoard reloads its data. The messages are those of its plugin library.
 *
 * @param {() => void} callback
 */
export function watchReload(callback) {
  if (!hasHost) return;
  const channel = new MessageChannel();
  channel.port1.onmessage = (event) => {
    const { isReply, type, id } = JSON.parse(event.data);
    if (isReply) return;
    if (type === "experimental.DataReloaded") callback();
    const reply = { type, id, payload: null, error: null, isReply: true };
    channel.port1.postMessage(JSON.stringify(reply));
  };
  window.parent.postMessage("experimental.bootstrap", "*", [channel.port2]);
}
