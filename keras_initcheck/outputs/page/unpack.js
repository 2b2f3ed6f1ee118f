// Unpacks what the page carries as gzip in base64: text, and plotly.js, which is run once for the whole window.
async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function loadPlotly(packed) {
  if (!window.Plotly) {
    const script = document.createElement("script");
    // The names are shadowed, or the bundle would register with a notebook's module loader instead of the window.
    script.textContent = `(function (define, module, exports) {${await unpack(packed)}\n}).call(window);`;
    document.head.append(script);
  }
  return window.Plotly;
}

// No button leads away from the page.
const CONFIG = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };
