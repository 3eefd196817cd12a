// The page: its curves, and the slider that moves all panels.
(() => {
  const data = JSON.parse(document.getElementById("run-data").textContent);
  Panel.font = getComputedStyle(document.body).fontFamily;
  const { ink, last, readout, drawings: known } = drawings(data);
  const moments = data.iterations ?? [], end = moments.length - 1, slider = document.getElementById("slider");
  const now = document.querySelector("#now span"), facts = document.getElementById("readout"), play = document.getElementById("play");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let position = Math.max(end, 0), target = position, playing = false, before = 0, hovered = null, logTime = moments.length > 0;

  const iterationAt = (place) => {
    const k = clamp(Math.floor(place), 0, Math.max(end - 1, 0));
    return end < 1 ? moments[0] : Math.round(Math.expm1(mix(Math.log1p(moments[k]), Math.log1p(moments[k + 1]), place - k)));
  };
  const placeOf = (iteration) => {
    const k = moments.findLastIndex((at) => at <= iteration);
    if (k < 0) return 0;
    return k >= end ? end : k + (Math.log1p(iteration) - Math.log1p(moments[k])) / (Math.log1p(moments[k + 1]) - Math.log1p(moments[k]));
  };

  // Curves.
  const curve = (spec) => {
    const series = spec.series.map((each) => {
      const y = unpack(each.y), measured = [...y.keys()].filter((i) => !Number.isNaN(y[i])); // some epochs lack some measures
      const columns = ["x", "y", "low", "high"].filter((key) => each[key]).map((key) => [key, unpack(each[key])]);
      return { ...each, color: ink[each.color], ...Object.fromEntries(columns.map(([key, values]) => [key, measured.map((i) => values[i])])) };
    });
    const values = series.flatMap((each) => [...each.y, ...(each.low ?? []), ...(each.high ?? [])]).concat(spec.level?.value ?? []).filter((y) => Number.isFinite(y) && (!spec.log || y > 0));
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (!values.length) [low, high] = [0, 1];
    if (low === high) [low, high] = spec.log ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
    if (spec.log) { const pad = (high / low) ** 0.06; low /= pad; high *= pad; } else { const pad = 0.06 * (high - low); low -= pad; high += pad; }
    return (panel, { iteration }) => {
      const cursor = hovered ?? iteration, index = series.map(({ x }) => (cursor === undefined ? x.length - 1 : x.findLastIndex((each) => each <= cursor)));
      panel.legend([...series.map(({ name, color, dashed, y }, i) => ({ name: `${name}${index[i] < 0 ? "" : ` ${said(y[index[i]])}`}`, color, dashed })), ...(spec.level ? [{ name: `${spec.level.name} ${said(spec.level.value)}`, color: ink.muted, dashed: true }] : [])]);
      panel.frame(logTime ? since(last) : linear(0, last), spec.log ? logarithmic(low, high) : linear(low, high, 4), ["", ""], ink, (c) => {
        if (spec.level) {
          Object.assign(c, { strokeStyle: ink.muted, lineWidth: 1.1 });
          c.setLineDash([5, 4]);
          panel.line([[panel.left, panel.y(spec.level.value)], [panel.right, panel.y(spec.level.value)]]);
          c.setLineDash([]);
        }
        const height = (y) => (y === Infinity ? panel.top - 50 : spec.log && y <= 0 ? panel.bottom + 50 : panel.y(y));
        for (const { x, y, low: lower, high: upper, color, dashed } of series) {
          if (lower) {
            Object.assign(c, { fillStyle: color, globalAlpha: 0.15 });
            const edge = (ys) => x.map((each, i) => [panel.x(each), clamp(height(ys[i]), -1e4, 1e4)]).filter(([, v]) => !Number.isNaN(v));
            c.beginPath();
            for (const point of [...edge(upper), ...edge(lower).reverse()]) c.lineTo(...point);
            c.fill();
            c.globalAlpha = 1;
          }
          Object.assign(c, { strokeStyle: color, lineWidth: dashed ? 1.4 : 1.9, lineJoin: "round" });
          c.setLineDash(dashed ? [2, 3] : []);
          panel.line(x.map((each, i) => [panel.x(each), height(y[i])]));
          c.setLineDash([]);
          if (x.length === 1) { c.fillStyle = color; panel.dots(1, () => [x[0], y[0]], 3); }
        }
        if (cursor === undefined) return;
        Object.assign(c, { strokeStyle: ink.ink, lineWidth: 1, globalAlpha: 0.55 });
        panel.line([[panel.x(cursor), panel.top], [panel.x(cursor), panel.bottom]]);
        c.globalAlpha = 1;
        series.forEach(({ x, y, color }, i) => {
          if (index[i] < 0) return;
          c.fillStyle = color;
          panel.dots(1, () => [x[index[i]], y[index[i]]], 3.4);
        });
      });
    };
  };

  const panels = [...document.querySelectorAll("[data-panel]")].map((figure) => {
    const name = figure.dataset.panel, chart = name.match(/^chart-(\d+)$/);
    return { panel: new Panel(figure), draw: chart ? curve(data.charts[chart[1]]) : known[name], chart: Boolean(chart) };
  });
  const visible = new Set(panels);
  const draw = () => {
    const near = clamp(Math.round(position), 0, Math.max(end, 0)), k = clamp(Math.floor(position), 0, Math.max(end - 1, 0));
    const moment = { k, share: end < 1 ? 0 : position - k, near, iteration: moments.length ? iterationAt(position) : undefined };
    for (const each of visible) each.draw(each.panel, moment);
    if (!moments.length) return;
    const text = counted(moment.iteration);
    now.textContent = text;
    slider.setAttribute("aria-valuetext", `iteration ${text}`);
    facts.replaceChildren(...readout(moment).flatMap(([name, value]) => {
      const number = document.createElement("b");
      number.textContent = value;
      return [`${name} `, number];
    }));
  };

  // Time: the position moves to its target, or plays to the end.
  let asked = false;
  const ask = () => { if (!asked) { asked = true; requestAnimationFrame(tick); } };
  const tick = (time) => {
    asked = false;
    const passed = Math.min(time - before, 100) / 1000;
    before = time;
    if (playing) {
      position = Math.min(position + passed * Math.max(end / 9, 2), end);
      target = position;
      if (position >= end) stop();
    } else {
      position += (target - position) * (still.matches ? 1 : 1 - Math.exp(-passed * 22));
      if (Math.abs(target - position) < 0.01) position = target;
    }
    if (slider) slider.value = Math.round(playing ? position : target);
    draw();
    if (playing || position !== target) ask();
  };
  const go = (place) => { stop(); target = clamp(place, 0, end); before = performance.now(); ask(); };
  const stop = () => { playing = false; play?.classList.remove("playing"); play?.setAttribute("aria-label", "Play"); };
  const toggle = () => {
    if (playing) { go(Math.round(position)); return; }
    if (position >= end) position = 0;
    playing = true;
    before = performance.now();
    play.classList.add("playing");
    play.setAttribute("aria-label", "Pause");
    ask();
  };
  if (moments.length) {
    slider.value = end;
    slider.addEventListener("input", () => go(Number(slider.value)));
    play.addEventListener("click", toggle);
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || (event.target !== slider && /^(INPUT|TEXTAREA|SELECT|A)$/.test(event.target.tagName))) return;
      const places = { ArrowLeft: target - 1, ArrowRight: target + 1, PageDown: target - 6, PageUp: target + 6, Home: 0, End: end };
      if (event.key in places) go(Math.round(places[event.key]));
      else if (event.key === " ") { if (event.target !== play) toggle(); else return; }
      else return;
      event.preventDefault();
    });
    const ticks = document.getElementById("ticks");
    let free = -Infinity;
    for (const iteration of [0, ...Array.from({ length: 12 }, (_, i) => 10 ** i)].filter((each) => each <= moments[end])) {
      const share = end ? placeOf(iteration) / end : 0;
      if (share < free) continue;
      const label = document.createElement("span");
      label.textContent = iteration >= 1e6 ? `${iteration / 1e6}M` : counted(iteration);
      label.style.left = `${100 * share}%`;
      ticks.append(label);
      free = share + 0.06;
    }
  }
  for (const each of panels.filter(({ chart }) => chart)) {
    const { canvas } = each.panel;
    const value = (event) => clamp(Math.round(each.panel.axes[0].value((event.offsetX - each.panel.left) / (each.panel.right - each.panel.left))), 0, last);
    canvas.addEventListener("pointerdown", (event) => { if (moments.length) { canvas.setPointerCapture(event.pointerId); go(placeOf(value(event))); } });
    canvas.addEventListener("pointermove", (event) => {
      if (!moments.length) { hovered = value(event); ask(); } else if (event.buttons) go(placeOf(value(event)));
    });
    canvas.addEventListener("pointerleave", () => { if (hovered !== null) { hovered = null; ask(); } });
  }
  // The axis of the curves: log-spaced, as the slider is, or linear.
  const axis = document.getElementById("time");
  axis?.addEventListener("click", () => {
    logTime = !logTime;
    axis.textContent = logTime ? "log time" : "linear time";
    ask();
  });
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const each = panels.find(({ panel }) => panel.figure === entry.target);
      if (entry.isIntersecting) visible.add(each); else visible.delete(each);
    }
    ask();
  }, { rootMargin: "200px" });
  panels.forEach(({ panel }) => watcher.observe(panel.figure));
  addEventListener("resize", ask);
  addEventListener("beforeprint", () => { panels.forEach((each) => visible.add(each)); draw(); });
  matchMedia("print").addEventListener("change", () => { panels.forEach((each) => visible.add(each)); draw(); });
  draw();
})();
