// Draws the trend where scripts run; the table below is the record, and what is spoken comes from it.
(() => {
  "use strict";
  const place = document.querySelector("[data-plot]");
  const source = document.getElementById("plot-data");
  if (!place || !source || !window.uPlot) return;
  const given = JSON.parse(source.textContent);
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  const COLOURS = ["--brand", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];
  const colour = (n) => token(COLOURS[n % 6]) || token("--brand");

  // One column of times for all; each series has holes where another laboratory measured.
  const all = given.series.flatMap((one, series) => one.points.map((point) => ({ ...point, series })));
  all.sort((a, b) => a.at - b.at || a.series - b.series);
  const times = all.map((point) => point.at);
  const data = [times, ...given.series.map((_, n) => all.map((p) => (p.series === n ? p.y : null)))];

  // The axis counts days as the table does: in the county, wherever the browser is.
  const local = (at) => uPlot.tzDate(new Date(at * 1000), given.zone);
  const month = (at, days) => {
    const day = local(at);
    const said = days ? place.dataset.days : place.dataset.months;
    return said.replace("{year}", day.getFullYear()).replace("{month}", place.dataset.names.split(" ")[day.getMonth()])
      .replace("{day}", day.getDate());
  };
  const inside = (u, draw) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw(ctx, bbox, devicePixelRatio || 1);
    ctx.restore();
  };

  // Behind the lines: each result's own range, and where method, instrument or range changed.
  const behind = (u) => inside(u, (ctx, box, ratio) => {
    given.series.forEach((one, n) => {
      one.points.forEach((point, at) => {
        if (point.low === null && point.high === null) return;
        const x = u.valToPos(point.at, "x", true);
        const left = at ? u.valToPos(one.points[at - 1].at, "x", true) : x - 14 * ratio;
        const right = at + 1 < one.points.length ? x : x + 14 * ratio;
        const over = point.high === null ? box.top : u.valToPos(point.high, "y", true);
        const under = point.low === null ? box.top + box.height : u.valToPos(point.low, "y", true);
        ctx.globalAlpha = 0.13;
        ctx.fillStyle = colour(n);
        ctx.fillRect(left, over, right - left, under - over);
      });
      ctx.globalAlpha = 1;
      ctx.setLineDash([5 * ratio, 4 * ratio]);
      ctx.strokeStyle = colour(n);
      one.breaks.forEach((at) => {
        const x = u.valToPos(at, "x", true);
        ctx.beginPath();
        ctx.moveTo(x, box.top);
        ctx.lineTo(x, box.top + box.height);
        ctx.stroke();
      });
      ctx.setLineDash([]);
    });
    // Strokes from one measured point to the next; what is only a limit is touched by none.
    const lines = given.joined ? [all] : given.series.map((one) => one.points);
    lines.forEach((points, n) => {
      ctx.strokeStyle = given.joined ? token("--line-strong") : colour(n);
      ctx.lineWidth = (given.joined ? 1.5 : 2) * ratio;
      ctx.beginPath();
      points.forEach((p, at) => {
        const on = at && !points[at - 1].censored;
        if (!p.censored) ctx[on ? "lineTo" : "moveTo"](u.valToPos(p.at, "x", true), u.valToPos(p.y, "y", true));
      });
      ctx.stroke();
    });
  });
  // A shape for each laboratory; a limit alone is a triangle that points where the value lies.
  const shapes = [
    (c, x, y, r) => c.arc(x, y, r, 0, 7),
    (c, x, y, r) => c.rect(x - r, y - r, 2 * r, 2 * r),
    (c, x, y, r) => { c.moveTo(x, y - r * 1.3); c.lineTo(x + r * 1.3, y); c.lineTo(x, y + r * 1.3); c.lineTo(x - r * 1.3, y); c.closePath(); },
    (c, x, y, r) => { c.moveTo(x - r, y - r); c.lineTo(x + r, y + r); c.moveTo(x - r, y + r); c.lineTo(x + r, y - r); },
    (c, x, y, r) => { c.moveTo(x - r, y); c.lineTo(x + r, y); c.moveTo(x, y - r); c.lineTo(x, y + r); },
  ];
  const triangle = (c, x, y, r, way) => { c.moveTo(x - r * 1.2, y - way * r); c.lineTo(x + r * 1.2, y - way * r); c.lineTo(x, y + way * r * 1.2); c.closePath(); };
  const before = (u) => inside(u, (ctx, _, ratio) => {
    all.forEach((point) => {
      const x = u.valToPos(point.at, "x", true);
      const y = u.valToPos(point.y, "y", true);
      ctx.fillStyle = ctx.strokeStyle = colour(point.series);
      ctx.lineWidth = 2 * ratio;
      ctx.beginPath();
      if (point.censored) triangle(ctx, x, y, 5 * ratio, point.censored === "<" ? 1 : -1);
      else shapes[point.series % shapes.length](ctx, x, y, 4.5 * ratio);
      ctx.fill();
      ctx.stroke();
    });
  });

  const spoken = document.getElementById("spoken");
  const row = (point) => document.getElementById(`row-${point.row}`);
  const text = (element) => (element ? element.innerText.replace(/\s+/g, " ").trim() : "");
  const tell = (point) => {
    document.querySelectorAll("tr.at-cursor").forEach((one) => one.classList.remove("at-cursor"));
    const cells = row(point).children;
    row(point).classList.add("at-cursor");
    const value = [1, 2, 3, 4].map((n) => text(cells[n])).filter(Boolean).join(" ");
    spoken.textContent = place.dataset.spoken.replace("{when}", text(cells[0]))
      .replace("{value}", value).replace("{where}", text(cells[5]));
  };

  const span = times[times.length - 1] - times[0];
  const pad = span * 0.03 || 86400;
  const faint = { stroke: () => token("--line"), width: 1 };
  const axis = { stroke: () => token("--soft"), grid: faint, ticks: faint, font: `12px ${token("--sans")}` };
  // Steps of the time axis: no shorter than a day, or a label would stand there twice.
  const DAY = 86400;
  const steps = [1, 2, 3, 5, 7, 10, 15, 30, 60, 90, 120, 180, 365, 730, 1825, 3650].map((days) => days * DAY);
  let ticks = [];
  const options = {
    tzDate: local,
    width: place.clientWidth,
    height: 300,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: [times[0] - pad, times[times.length - 1] + pad] },
      y: { range: [given.bottom, given.top] },
    },
    axes: [
      { ...axis, space: 110, incrs: steps, values: (_, found, __, ___, step) => {
        ticks = found.map((at) => [at, month(at, step < 28 * DAY)]);
        return ticks.map(([, label]) => label);
      } },
      { ...axis, size: 62 },
    ],
    series: [{}, ...given.series.map((one, n) => ({
      label: one.name, stroke: colour(n), width: 0, points: { show: false },
    }))],
    hooks: {
      drawClear: [behind],
      draw: [before],
      setCursor: [(u) => { if (u.cursor.idx !== null && u.cursor.idx !== undefined) tell(all[u.cursor.idx]); }],
    },
  };
  place.replaceChildren();
  const plot = new uPlot(options, data, place);
  const shown = plot.root;
  shown.tabIndex = 0;
  shown.setAttribute("role", "img");
  shown.setAttribute("aria-label", place.dataset.label);
  shown.setAttribute("aria-describedby", "caveat");
  let at = -1;
  const move = (to) => {
    at = Math.min(Math.max(to, 0), all.length - 1);
    plot.setCursor({ left: plot.valToPos(all[at].at, "x"), top: plot.valToPos(all[at].y, "y") }, false);
    tell(all[at]);
  };
  shown.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at < 0 ? all.length - 1 : at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw());
  addEventListener("resize", () => plot.setSize({ width: place.clientWidth, height: 300 }));
  // For tests, and for whoever wants to know what was drawn.
  window.trend = { plot, given, points: all, move, ticks: () => ticks };
})();
