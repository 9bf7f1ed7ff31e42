// Replaces the drawing of the lag by a chart that shows the figures under the pointer. The figures are in data-chart.
(() => {
  "use strict";
  if (!window.uPlot) return;
  let chart = null;
  const show = () => {
    const figure = document.querySelector("[data-chart]");
    if (!figure || figure.dataset.drawn) return;
    const data = JSON.parse(figure.dataset.chart);
    if (chart) chart.destroy();
    chart = null;
    if (data[0].length < 2) return;
    figure.dataset.drawn = "true";
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const time = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);
    // The hatched outages of the drawing are rectangles in the browser's chart.
    const bands = [...figure.querySelectorAll(".band")].map((band) => [Number(band.dataset.from), Number(band.dataset.until)]);
    const fill = (u) => {
      u.ctx.save();
      u.ctx.fillStyle = "rgba(161, 45, 27, 0.14)";
      for (const [from, until] of bands) {
        const left = Math.max(u.bbox.left, u.valToPos(from, "x", true));
        const right = Math.min(u.bbox.left + u.bbox.width, u.valToPos(until, "x", true));
        if (right > left) u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
      }
      u.ctx.restore();
    };
    const options = {
      width: figure.clientWidth,
      height: Math.max(200, Math.min(300, figure.clientWidth / 2.6)),
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { range: [Number(figure.dataset.first), Number(figure.dataset.end)] }, y: { range: (_u, _low, high) => [0, Math.max(20, high * 1.05)] } },
      axes: [{ ...axis, values: (_u, values) => values.map((value) => time(value).slice(0, 5)) }, { ...axis, size: 64, values: (_u, values) => values.map((value) => value.toLocaleString("en")) }],
      series: [
        { label: "Time", value: (_u, seconds) => (seconds === null ? "" : `${time(seconds)} UTC`) },
        { label: "Waiting", stroke: colour("--paused"), width: 2, points: { show: false }, value: (_u, value) => (value === null ? "" : value.toLocaleString("en")) },
      ],
      hooks: { drawClear: [fill] },
    };
    figure.classList.add("chart--live");
    chart = new window.uPlot(options, data, figure);
  };
  show();
  // Keep the figures below the chart open when the page refreshes.
  let wasOpen = false;
  document.body.addEventListener("htmx:beforeSwap", () => {
    wasOpen = Boolean(document.querySelector("#figures[open]"));
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    const figures = document.getElementById("figures");
    if (figures && wasOpen) figures.open = true;
    show();
  });
  window.addEventListener("resize", () => {
    const figure = document.querySelector("[data-chart]");
    if (chart && figure) chart.setSize({ width: figure.clientWidth, height: chart.height });
  });
})();
