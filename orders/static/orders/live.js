// Follows orders. A stream rings when an order changed, and the page fetches its changed parts (data-poll, in seconds).
// Without a stream the page polls each part after its own seconds; with a stream, after NET_SECONDS at the earliest.
(() => {
  "use strict";
  const root = document.querySelector("[data-live]");
  if (!root || !window.htmx) return;
  const address = root.dataset.live;
  const NET_SECONDS = 15;
  const GIVE_UP_SECONDS = 30;
  const polled = new WeakMap();
  let source = null;
  let openAt = 0;

  const parts = () => [...document.querySelectorAll("[data-poll]")].filter((part) => Number(part.dataset.poll) > 0);
  const isOpen = () => source !== null && source.readyState === EventSource.OPEN;
  const poll = (part) => {
    polled.set(part, Date.now());
    window.htmx.trigger(part, "live");
  };
  const refresh = () => parts().forEach(poll);
  const close = (seconds = 0) => {
    if (source) source.close();
    source = null;
    openAt = Date.now() + seconds * 1000;
  };
  const open = () => {
    if (source || document.hidden || !window.EventSource || Date.now() < openAt || !parts().length) return;
    source = new EventSource(address, { withCredentials: true });
    source.addEventListener("order", refresh);
    source.addEventListener("bye", (event) => close(Number(event.data) / 1000 || 5));
    source.onerror = () => {
      // The browser gives up for good after any answer but 200.
      if (source && source.readyState === EventSource.CLOSED) close(GIVE_UP_SECONDS * (1 + Math.random()));
    };
  };
  const tick = () => {
    if (document.hidden) return;
    open();
    if (source && !parts().length) close();
    const now = Date.now();
    for (const part of parts()) {
      if (!polled.has(part)) polled.set(part, now);
      const seconds = Math.max(Number(part.dataset.poll), isOpen() ? NET_SECONDS : 0);
      if (now - polled.get(part) >= seconds * 1000) poll(part);
    }
  };
  const show = () => {
    if (document.hidden) return close();
    refresh();
    open();
  };
  document.addEventListener("visibilitychange", show);
  window.addEventListener("pagehide", () => close());
  window.addEventListener("pageshow", (event) => event.persisted && show());
  window.setInterval(tick, 1000);
  window.addEventListener("load", tick);
})();
