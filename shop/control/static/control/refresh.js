// Fetches the figures again after the chosen seconds, at first those of data-refresh. The button pauses this; hidden tabs
// do not fetch. The choice is kept for the visit.
(() => {
  "use strict";
  const KEY = "control-refresh";
  const button = document.getElementById("pause");
  const every = document.getElementById("every");
  const room = () => document.querySelector("[data-refresh]");
  let paused = false;
  let fetchedAt = Date.now();
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Resume updates" : "Pause updates";
    });
  }
  if (every && room()) {
    document.getElementById("every-label").hidden = false;
    every.value = window.sessionStorage.getItem(KEY) || room().dataset.refresh;
    every.addEventListener("change", () => window.sessionStorage.setItem(KEY, every.value));
  }
  window.setInterval(() => {
    const part = room();
    if (!part || paused || document.hidden) return;
    const seconds = Number((every && every.value) || part.dataset.refresh);
    if (Date.now() - fetchedAt < seconds * 1000 - 100) return;
    fetchedAt = Date.now();
    window.htmx.trigger(part, "refresh");
  }, 1000);
})();
