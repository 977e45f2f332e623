// An export read as it comes, so that the page can tell how far it is. Chunks become blobs, which browsers keep on disk.
"use strict";

const exportForm = document.getElementById("export");
if (exportForm) {
  const BLOB_BYTES = 16 * 1024 * 1024;
  const element = (id) => document.getElementById(id);
  const [start, stop, state, panel, bar, figures] = ["x-start", "x-stop", "x-state", "x-panel", "x-bar", "x-figures"].map(element);
  const words = exportForm.dataset;
  const number = new Intl.NumberFormat(document.documentElement.lang);
  let running = null;

  stop.addEventListener("click", () => running?.abort());
  exportForm.addEventListener("submit", async (event) => {
    if (event.submitter?.value === "browser") return;
    event.preventDefault();
    if (running) return;
    running = new AbortController();
    start.disabled = true;
    stop.hidden = false;
    panel.hidden = false;
    state.className = "";
    state.textContent = words.running;
    figures.textContent = "";
    bar.removeAttribute("value");
    try {
      state.textContent = await read(running.signal);
      state.className = "notice good";
    } catch (error) {
      state.textContent = error.name === "AbortError" ? words.stopped : (error.said ?? words.broken);
      state.className = error.name === "AbortError" ? "" : "notice bad";
    } finally {
      running = null;
      start.disabled = false;
      stop.hidden = true;
      bar.hidden = true;
    }
  });

  async function read(signal) {
    const query = new URLSearchParams(new FormData(exportForm));
    const response = await fetch(`${exportForm.action.split("?")[0]}?${query}`, { signal });
    if (!response.ok) {
      const said = { 404: words.unknown, 422: words.refused, 503: words.busy }[response.status] ?? words.broken;
      throw Object.assign(new Error(said), { said });
    }
    bar.hidden = false;
    const isCsv = query.get("format") === "csv";
    const expected = isCsv ? Number(response.headers.get("x-lumen-rows-expected") ?? 0) : 0;
    const blobs = [];
    let chunks = [], held = 0, bytes = 0, rows = -1, isQuoted = false, shownAt = 0; // the head is no row
    const show = () => {
      const size = bytes < 1e6 ? `${number.format(Math.ceil(bytes / 1e3))} kB` : `${number.format(Math.round(bytes / 1e4) / 100)} MB`;
      figures.textContent = isCsv ? `${words.rows.replace("{rows}", number.format(Math.max(0, rows)))} · ${size}` : size;
      if (expected) {
        bar.max = expected;
        bar.value = Math.min(rows, expected);
      }
    };
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.length;
      held += value.length;
      chunks.push(value);
      if (held > BLOB_BYTES) {
        blobs.push(new Blob(chunks));
        chunks = [];
        held = 0;
      }
      if (isCsv) {
        for (const byte of value) { // a newline within quotes ends no row
          if (byte === 34) isQuoted = !isQuoted;
          else if (byte === 10 && !isQuoted) rows += 1;
        }
      }
      if (performance.now() - shownAt > 200) {
        shownAt = performance.now();
        show();
      }
    }
    show();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([...blobs, ...chunks], { type: response.headers.get("content-type") }));
    link.download = /filename="([^"]+)"/.exec(response.headers.get("content-disposition"))[1];
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    return words.done.replace("{file}", link.download);
  }
}
