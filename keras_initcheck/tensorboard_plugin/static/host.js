// The page around the tab, which is TensorBoard's or none: its theme, its address, and its word that data were reloaded.

const PREFIX = "p.initcheck.";
const TAB = "#initcheck";

const hasHost = window.parent !== window;

/** TensorBoard's window where the tab stands in one that may be read, else this one. */
function outer() {
  try {
    return hasHost && window.parent.document ? window.parent : window;
  } catch {
    return window;
  }
}

/** Calls back with whether the page is dark, at once and whenever that changes. */
export function watchTheme(callback) {
  const host = outer();
  const preference = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (host === window ? preference.matches : host.document.body.classList.contains("dark-mode"));
  let before = null;
  const tell = () => {
    if (isDark() !== before) callback((before = isDark()));
  };
  if (host === window) preference.addEventListener("change", tell);
  else new MutationObserver(tell).observe(host.document.body, { attributes: true, attributeFilter: ["class"] });
  tell();
}

/** What the address says: lists of strings by name. */
export function readAddress() {
  const found = {};
  for (const part of outer().location.hash.slice(1).split("&")) {
    const [name, value = ""] = part.split("=", 2);
    if (!name.startsWith(PREFIX)) continue;
    try {
      (found[name.slice(PREFIX.length)] ??= []).push(decodeURIComponent(value));
    } catch {
      // no such escape sequence: somebody has cut the address short
    }
  }
  return found;
}

/** Makes the address say that, without a step in the history. */
export function writeAddress(values) {
  const host = outer();
  const isOurs = host === window || host.location.hash === "" || host.location.hash.startsWith(TAB);
  if (!isOurs) return;
  const parts = Object.entries(values).flatMap(([name, list]) => list.map((value) => `${PREFIX}${name}=${encodeURIComponent(value)}`));
  host.history.replaceState(host.history.state, "", [TAB, ...parts].join("&"));
}

/** Calls back when somebody changes the address by hand or follows a link. */
export function watchAddress(callback) {
  outer().addEventListener("hashchange", () => {
    if (outer().location.hash.startsWith(TAB)) callback();
  });
}

/** Calls back when TensorBoard reloads its data. The messages are those of its plugin library. */
export function watchReload(callback) {
  if (!hasHost) return;
  const channel = new MessageChannel();
  channel.port1.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.isReply) return;
    if (message.type === "experimental.DataReloaded") callback();
    channel.port1.postMessage(JSON.stringify({ type: message.type, id: message.id, payload: null, error: null, isReply: true }));
  };
  window.parent.postMessage("experimental.bootstrap", "*", [channel.port2]);
}
