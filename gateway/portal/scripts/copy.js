// One press puts a text of the page on the clipboard; without scripts it is there to be marked.
(() => {
  "use strict";
  const show = () => document.querySelectorAll("button[data-copy]").forEach((one) => { one.hidden = false; });
  show();
  document.addEventListener("htmx:after:swap", show);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.value);
    } catch {
      source.closest("details").open = true;
      source.select();
      document.execCommand("copy");
    }
    button.textContent = button.dataset.copied;
  });
})();
