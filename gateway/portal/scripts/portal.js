// What the portal's pages do better with scripts: steps within a page, keys, a note that paper was made.
(() => {
  "use strict";
  const root = document.documentElement;
  const said = (name) => document.body.dataset[name] || "";
  const live = () => document.getElementById("live");
  const inField = (element) => Boolean(element.closest("input, select, textarea, [contenteditable]"));

  // A step within a page: the whole frame is exchanged, so nothing of the old page stays.
  const say = (text, loud) => {
    const place = live();
    place.setAttribute("role", loud ? "alert" : "status");
    place.classList.toggle("loud", Boolean(loud));
    place.textContent = text;
  };
  const arrive = () => {
    const page = document.getElementById("page");
    const place = page.querySelector("[aria-invalid=true], [role=alert], [role=status], h1");
    if (!place) return;
    if (!place.matches("input, select, textarea, a, button")) place.tabIndex = -1;
    place.focus();
    if (!location.hash && place.matches("h1")) scrollTo(0, 0);
  };
  document.addEventListener("htmx:before:request", () => {
    root.classList.add("loading");
    say(said("loading"), false);
  });
  document.addEventListener("htmx:finally:request", () => {
    root.classList.remove("loading");
    if (!live().classList.contains("loud")) say("", false);
  });
  document.addEventListener("htmx:error", () => {
    say(said("failed"), true);
  });
  // What is not a page (a file, an empty answer) is none of htmx's business.
  document.addEventListener("htmx:before:response", (event) => {
    const response = event.detail.ctx.response;
    if (!(response.headers.get("content-type") || "").startsWith("text/html")) {
      event.preventDefault();
      location.assign(response.raw.url);
    }
  });
  // Where the navigation does not fit, the page one is on is in sight.
  const showWhere = () => {
    const here = document.querySelector("#page header nav [aria-current]");
    const strip = here && here.parentElement;
    if (strip) strip.scrollLeft = here.offsetLeft - strip.clientWidth / 2 + here.offsetWidth / 2;
  };
  showWhere();
  document.addEventListener("htmx:after:swap", () => {
    showWhere();
    arrive();
  });
  // A form that comes back with a complaint has no address of its own to return to.
  document.addEventListener("htmx:before:history:update", (event) => {
    const raw = event.detail.response && event.detail.response.raw;
    const form = event.detail.sourceElement.closest("form[method=post]");
    const path = event.detail.history.path;
    const same = path === location.pathname + location.search;
    if ((form && raw && !raw.redirected) || same) event.preventDefault();
  });

  // Single keys, where nobody is typing and nobody has switched them off.
  const go = {
    "/": () =>
      document.querySelector("#number, input[type=search]") ||
      document.querySelector("main input:not([type=hidden]), main select, main textarea"),
    "?": () => document.querySelector("a[data-key='?']"),
    n: () => document.querySelector("main a[rel=next]"),
    p: () => document.querySelector("main a[rel=prev]"),
  };
  // A key printed on a button works alike in every browser, whatever that calls its access keys.
  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.repeat) return;
    const letter = /^Key[A-Z]$/.test(event.code) && event.code.slice(3).toLowerCase();
    const named = letter && document.querySelector(`main [accesskey="${letter}"]`);
    if (!named) return;
    event.preventDefault();
    const folded = named.closest("details:not([open])");
    if (folded) folded.open = true;
    named.focus();
    // What nobody saw yet is shown first, and pressed the next time.
    if (!folded && named.matches("a, button")) named.click();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!said("keys") || inField(event.target)) return;
    const number = /^[1-9]$/.test(event.key) && Number(event.key);
    const pages = document.querySelectorAll("#page header nav a");
    const own = () => document.querySelector(`main button[data-key="${CSS.escape(event.key)}"]`);
    const found = number ? pages[number - 1] : (go[event.key] || own)();
    if (!found) return;
    event.preventDefault();
    if (found.matches("a, [data-key]")) found.click();
    else found.focus();
  });

  // Printing is noted before it happens where there is a button, and as it happens elsewhere.
  const note = (keepalive) => {
    const page = document.getElementById("page");
    const body = new URLSearchParams({ csrf: page.dataset.token, path: location.pathname });
    return fetch(page.dataset.prints, { method: "POST", body, keepalive, redirect: "error" });
  };
  let noted = false;
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-print]");
    if (!button) return;
    event.preventDefault();
    try {
      noted = (await note(false)).ok;
    } catch {
      noted = false;
    }
    if (noted) print();
    else say(said("failed"), true);
  });
  addEventListener("beforeprint", () => {
    const page = document.getElementById("page");
    if (!noted && page.dataset.prints) note(true).catch(() => undefined);
    noted = false;
  });
})();
