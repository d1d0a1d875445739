// The grid of results: arrow keys go from cell to cell, Ctrl+C copies one result in words.
(() => {
  "use strict";
  const box = () => document.querySelector("[data-grid]");
  const rows = () => [...box().querySelectorAll("tbody tr:not(.panel)")];
  const cellsOf = (row) => [...row.querySelectorAll("td")];
  const text = (element) => (element ? element.innerText.replace(/\s+/g, " ").trim() : "");

  const focus = (cell) => {
    const before = box().querySelector("td[tabindex='0']");
    if (before) before.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus({ preventScroll: true });
    // Sticky heads cover what the browser thinks it has shown.
    const place = box();
    const head = place.querySelector("thead").getBoundingClientRect();
    const side = cell.closest("tr").querySelector("th").getBoundingClientRect();
    const at = cell.getBoundingClientRect();
    const around = place.getBoundingClientRect();
    if (at.left < side.right) place.scrollLeft -= side.right - at.left;
    if (at.right > around.right) place.scrollLeft += at.right - around.right;
    if (at.top < head.bottom) place.scrollTop -= head.bottom - at.top;
    if (at.bottom > around.bottom) place.scrollTop += at.bottom - around.bottom;
  };

  const said = (cell) => {
    const row = cell.closest("tr");
    const column = cellsOf(row).indexOf(cell);
    const head = cell.closest("table").querySelectorAll("thead th[scope=col]")[column + 1];
    const name = row.querySelector("th a") || row.querySelector("th");
    const shared = ["unit", "range"].map((one) => text(row.querySelector(`th .${one}`)));
    const when = [".house", "time"].map((one) => text(head.querySelector(one)));
    return [text(name), text(cell), ...shared, ...when].filter(Boolean).join(" ");
  };

  const steps = {
    ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    PageUp: [-10, 0], PageDown: [10, 0],
  };
  document.addEventListener("keydown", (event) => {
    if (!box() || event.altKey || event.metaKey || event.shiftKey) return;
    if (!event.target.closest("[data-grid]") || event.target.matches("a, summary, input")) return;
    const cell = event.target.closest("td");
    if (event.ctrlKey) return;
    const all = rows();
    if (event.key === "Home" || event.key === "End") {
      const own = cellsOf(cell ? cell.closest("tr") : all[0]);
      event.preventDefault();
      focus(own[event.key === "Home" ? 0 : own.length - 1]);
      return;
    }
    const step = steps[event.key];
    if (!step || !all.length) return;
    event.preventDefault();
    if (!cell) {
      focus(cellsOf(all[0])[0]);
      return;
    }
    const row = all.indexOf(cell.closest("tr"));
    const column = cellsOf(all[row]).indexOf(cell);
    const next = all[Math.min(Math.max(row + step[0], 0), all.length - 1)];
    const own = cellsOf(next);
    focus(own[Math.min(Math.max(column + step[1], 0), own.length - 1)]);
  });
  document.addEventListener("copy", (event) => {
    const cell = document.activeElement && document.activeElement.closest("[data-grid] td");
    if (!cell || String(getSelection())) return;
    event.clipboardData.setData("text/plain", said(cell));
    event.preventDefault();
  });
})();
