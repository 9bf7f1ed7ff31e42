// Fetches the figures again after the seconds of data-refresh. The button pauses this; hidden tabs do not fetch.
(() => {
  "use strict";
  const button = document.getElementById("pause");
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
  window.setInterval(() => {
    const room = document.querySelector("[data-refresh]");
    if (!room || paused || document.hidden) return;
    if (Date.now() - fetchedAt < Number(room.dataset.refresh) * 1000) return;
    fetchedAt = Date.now();
    window.htmx.trigger(room, "refresh");
  }, 1000);
})();
