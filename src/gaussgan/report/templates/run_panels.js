// The panels of the page. Each maps a panel and a moment { k, share, near, iteration } to a drawing: a moment lies
// between the frames k and k + 1, and `near` is the nearer of the two.
const drawings = (data) => {
  const ink = data.colors, verdict = ramp(ink.probability), time = ramp(ink.time), shown = data.picture ?? {};
  const arrays = (node) => Object.fromEntries(Object.entries(node ?? {}).map(([key, value]) => [key, value?.data !== undefined ? unpack(value) : value]));
  const view = arrays(shown), learned = arrays(shown.learned), truth = arrays(shown.true), density = arrays(data.densities);
  const last = data.iterations ? data.iterations.at(-1) : Math.max(1, ...data.charts.flatMap((chart) => chart.series.map((each) => unpack(each.x).at(-1) ?? 1)));
  const g = view.logits?.shape.at(-1), sigmoid = (x) => 1 / (1 + Math.exp(-x)), LEVELS = [0.1, 0.25, 0.5, 0.75, 0.9];
  // The numbers of one frame, or a mixture of two.
  const between = (array, { k, share }) => {
    const size = array.length / array.shape[0], a = array.subarray(k * size, (k + 1) * size);
    if (!share) return a;
    const b = array.subarray((k + 1) * size, (k + 2) * size);
    return a.map((value, i) => mix(value, b[i], share));
  };
  const at = (array, k) => between(array, { k, share: 0 });
  const bar = `linear-gradient(90deg, ${ink.probability.join(",")})`;
  // A coordinate's axis in the units of the file.
  const unit = (i, low, high) => {
    const { scale, shift } = shown.axes[i], own = linear(low * scale + shift, high * scale + shift);
    return { ...own, low, high, ticks: own.ticks.map((tick) => (tick - shift) / scale), place: (x) => (x - low) / (high - low), text: (x) => own.text(x * scale + shift) };
  };
  const outlines = (panel, means, covs, color, sigmas, width, dash, alpha = 1) => {
    const c = panel.context;
    Object.assign(c, { strokeStyle: color, lineWidth: width, globalAlpha: alpha });
    c.setLineDash(dash);
    for (let i = 0; 2 * i < means.length; i++) {
      const cov = covs.subarray(4 * i, 4 * i + 4);
      for (const k of sigmas) if (cov.every(Number.isFinite)) panel.ellipse(means.subarray(2 * i, 2 * i + 2), [cov[0], (cov[1] + cov[2]) / 2, cov[3]], k);
    }
    c.setLineDash([]);
    c.globalAlpha = 1;
  };
  const surface = (panel, values, levels, shade) => {
    panel.paint(values, g, verdict, shade);
    panel.context.strokeStyle = ink.ink;
    levels.forEach((level, i) => {
      Object.assign(panel.context, { lineWidth: i === 2 ? 1.6 : 0.7, globalAlpha: i === 2 ? 0.85 : 0.22 });
      panel.contour(values, g, level);
    });
    panel.context.globalAlpha = 1;
  };
  const logits = (moment) => {
    const values = between(view.logits, moment);
    if (view.logistic) return [values, LEVELS.map((p) => Math.log(p / (1 - p))), sigmoid];
    const [low, high] = between(view.scale, moment);
    return [values, LEVELS.map((p) => low + p * (high - low)), (x) => (x - low) / (high - low)];
  };
  const names = () => [shown.axes[0].name, shown.axes[1]?.name ?? ""];
  const planeAxes = () => [0, 1].map((i) => unit(i, shown.window[0][i], shown.window[1][i]));
  const groups = view.samples?.shape.length === 4 ? view.samples.shape[1] : 1;
  const legend = () => {
    const entries = [{ name: "real", color: ink.real, dot: true }];
    if (view.samples) entries.push({ name: groups > 1 ? "generated, a colour for each replica" : "generated", color: groups > 1 ? ink.categories[0] : ink.fake, dot: true });
    if (view.samples_ema) entries.push({ name: "moving average", color: ink.average, dot: true });
    const many = learned.cov?.shape.length > 3;
    if (many && shown.kind === "plane") entries.push({ name: "true distribution", color: ink.real });
    if (learned.cov && shown.kind === "plane") entries.push({ name: many ? "learned distributions, at 1σ" : "distributions at 1σ and 2σ", color: ink.fake, dashed: !many });
    if (view.logits && shown.kind === "plane") entries.push({ before: view.logistic ? "D: generated" : "critic: generated", name: "real", bar });
    if (view.logits && shown.kind === "line") entries.push({ name: view.logistic ? "D’s probability of real" : "critic", color: ink.muted });
    return entries;
  };
  const scatter = (panel, points, color, radius, alpha) => {
    Object.assign(panel.context, { fillStyle: color, globalAlpha: alpha });
    panel.dots(points.length / 2, (i) => [points[2 * i], points[2 * i + 1]], radius);
    panel.context.globalAlpha = 1;
  };
  const plane = (panel, moment) => {
    panel.legend(legend());
    const size = clamp(panel.canvas.clientWidth / 260, 1.6, 2.6);
    panel.frame(...planeAxes(), names(), ink, () => {
      if (view.logits) surface(panel, ...logits(moment));
      scatter(panel, view.real, ink.real, size, view.samples ? 0.6 : 0.35);
      const samples = view.samples && between(view.samples, moment), own = samples && samples.length / groups;
      for (let r = 0; samples && r < groups; r++) scatter(panel, samples.subarray(r * own, (r + 1) * own), groups > 1 ? ink.categories[r % 8] : ink.fake, size, groups > 1 ? 0.55 : 0.75);
      if (view.samples_ema) scatter(panel, between(view.samples_ema, moment), ink.average, size * 0.8, 0.5);
      if (!learned.cov) return;
      const [means, covs] = [between(learned.mean, moment), between(learned.cov, moment)], many = means.length > 2;
      outlines(panel, means, covs, ink.fake, many ? [1] : [1, 2], many ? 1 : 1.8, many ? [] : [6, 4], many ? clamp(12 / means.length ** 0.75, 0.25, 0.8) : 1);
      if (many) scatter(panel, means, ink.fake, 2, 0.7);
      outlines(panel, truth.mean, truth.cov, ink.real, many ? [1] : [1, 2], many ? 2.4 : 1.8, []);
    }, { grid: !view.logits, ground: view.logits ? ink.pale : undefined });
  };
  const gaussian = (mean, cov) => (x) => Math.exp(-((x - mean) ** 2) / (2 * cov)) / Math.sqrt(2 * Math.PI * cov);
  const along = (low, high, n, f) => Array.from({ length: n }, (_, i) => [low + ((high - low) * i) / (n - 1), f(low + ((high - low) * i) / (n - 1), i)]);
  const line = (panel, moment) => {
    panel.legend(legend());
    const [[low], [high]] = shown.window, BINS = 40, width = (high - low) / BINS;
    const samples = view.samples && between(view.samples, moment);
    const histogram = (points) => {
      const bins = new Float64Array(BINS);
      for (const x of points) if (x >= low && x < high) bins[Math.floor((x - low) / width)] += 1 / points.length / width;
      return bins;
    };
    const real = histogram(view.real), fake = samples ? histogram(samples) : [];
    const top = truth.cov?.[0] > 0 ? 2 * gaussian(0, truth.cov[0])(0) : 1.25 * Math.max(...real);
    panel.frame(unit(0, low, high), linear(0, top), [names()[0], "density"], ink, (c) => {
      for (const [bins, color] of [[real, ink.real], [fake, ink.fake]]) {
        Object.assign(c, { fillStyle: color, globalAlpha: 0.3 });
        for (let i = 0; i < bins.length; i++) c.fillRect(panel.x(low + i * width), panel.y(bins[i]), panel.x(low + width) - panel.left, panel.bottom - panel.y(bins[i]));
        c.globalAlpha = 1;
      }
      const curve = (f, color, thick, dash = []) => {
        Object.assign(c, { strokeStyle: color, lineWidth: thick });
        c.setLineDash(dash);
        panel.line(along(low, high, 300, f).map(([x, y]) => [panel.x(x), panel.y(y)]));
        c.setLineDash([]);
      };
      if (truth.cov?.[0] > 0) curve(gaussian(truth.mean[0], truth.cov[0]), ink.real, 2);
      if (learned.cov) {
        const [means, covs] = [between(learned.mean, moment), between(learned.cov, moment)];
        c.globalAlpha = means.length > 1 ? 0.4 : 1;
        means.forEach((mean, i) => curve(gaussian(mean, covs[i]), ink.fake, means.length > 1 ? 1 : 2, means.length > 1 ? [] : [6, 4]));
        c.globalAlpha = 1;
      }
      if (view.logits) {
        const [values, , shade] = logits(moment);
        Object.assign(c, { strokeStyle: ink.muted, lineWidth: 1.6 });
        panel.line(along(low, high, g, (_, i) => shade(values[i])).map(([x, p]) => [panel.x(x), panel.bottom - p * (panel.bottom - panel.top)]));
        c.setLineDash([2, 4]); c.lineWidth = 1;
        panel.line([[panel.left, (panel.top + panel.bottom) / 2], [panel.right, (panel.top + panel.bottom) / 2]]);
        c.setLineDash([]);
      }
    });
    if (view.logits) panel.remark.textContent = view.logistic ? "Grey: D’s probability of real, from 0 at the bottom to 1 at the top." : "Grey: the critic’s value; its scale is that of the examples.";
  };
  const load = (source) => Object.assign(new Image(), { src: source, onload: () => dispatchEvent(new Event("resize")) });
  const sheets = shown.kind === "images" ? shown.sheets.map(load) : [], originals = shown.kind === "images" ? load(shown.real) : null;
  const images = (panel, { near }) => {
    panel.legend([{ name: `left: by ${shown.by}, from fixed latents; right: real`, color: ink.muted, dot: true }]);
    const c = panel.context, box = panel.canvas.getBoundingClientRect(), density = devicePixelRatio || 1;
    panel.canvas.width = box.width * density;
    panel.canvas.height = box.height * density;
    c.setTransform(density, 0, 0, density, 0, 0);
    c.imageSmoothingEnabled = false;
    const share = Math.min(0.64 * box.width, box.height * (sheets[near].naturalWidth / sheets[near].naturalHeight || 1));
    [[sheets[near], 0, share], [originals, share + 16, box.width - share - 16]].forEach(([sheet, left, width]) => {
      if (!sheet.naturalWidth) return;
      const scale = Math.min(width / sheet.naturalWidth, box.height / sheet.naturalHeight);
      c.drawImage(sheet, left, 0, sheet.naturalWidth * scale, sheet.naturalHeight * scale);
    });
  };

  // The densities at the grid: log p, log q and log p/q of a frame.
  const ends = (i) => [shown.window[0][i], shown.window[1][i]];
  const lattice = (k) => {
    const f = at(density.log_q, k), flat = shown.kind === "line", log_q = new Float64Array(density.log_p.length);
    for (let row = 0; row < (flat ? 1 : g); row++) {
      for (let column = 0; column < g; column++) {
        const x = mix(...ends(0), column / (g - 1)), y = flat ? 0 : mix(...ends(1), row / (g - 1));
        log_q[row * g + column] = f[0] + f[1] * x + f[2] * y + f[3] * x * x + f[4] * x * y + f[5] * y * y;
      }
    }
    return { log_q, ratio: density.log_p.map((value, i) => value - log_q[i]) };
  };
  const best = (panel, { near }) => {
    panel.legend([{ name: "σ(log p/q)", color: ink.ink }]);
    panel.remark.textContent = "";
    panel.frame(...planeAxes(), names(), ink, () => {
      const { ratio } = lattice(near);
      if (Number.isNaN(ratio[0])) { panel.remark.textContent = "The learned distribution has no density at this moment."; return; }
      surface(panel, ratio, LEVELS.map((p) => Math.log(p / (1 - p))), sigmoid);
      outlines(panel, at(learned.mean, near), at(learned.cov, near), ink.fake, [1, 2], 1.4, [5, 4]);
      outlines(panel, truth.mean, truth.cov, ink.real, [1, 2], 1.4, []);
    }, { grid: false, ground: ink.pale });
  };
  const REACH = 6; // nats
  const logit = (panel, { near }) => {
    const values = at(view.logits, near), { log_q, ratio } = lattice(near), weights = density.log_p.map((value, i) => (Math.exp(value) + Math.exp(log_q[i])) / 2);
    let [most, total, squares] = [0, 0, 0];
    for (let i = 0; i < weights.length; i++) {
      if (!Number.isFinite(weights[i] * values[i] * ratio[i])) continue;
      most = Math.max(most, weights[i]);
      total += weights[i];
      squares += weights[i] * (values[i] - ratio[i]) ** 2;
    }
    panel.remark.textContent = Number.isNaN(ratio[0]) ? "The learned distribution has no density at this moment." : view.logistic ? `Root mean square difference under ½(p + q): ${said(Math.sqrt(squares / total))} nats.` : "A critic’s values need not be log p/q.";
    if (shown.kind === "line") {
      panel.legend([{ name: "D’s logit", color: ink.ink }, { name: "log p/q", color: ink.ink, dashed: true }]);
      panel.frame(unit(0, ...ends(0)), linear(-REACH, REACH), [names()[0], "nats"], ink, (c) => {
        Object.assign(c, { strokeStyle: ink.ink, lineWidth: 1.8 });
        for (const [curve, dash] of [[values, []], [ratio, [6, 4]]]) {
          c.setLineDash(dash);
          panel.line(along(...ends(0), g, (_, i) => curve[i]).map(([x, y]) => [panel.x(x), panel.y(y)]));
        }
        c.setLineDash([]);
      });
      return;
    }
    panel.legend([{ name: "likelier real", color: ink.real, dot: true }, { name: "likelier generated", color: ink.fake, dot: true }]);
    panel.frame(linear(-REACH, REACH), linear(-REACH, REACH), ["log p/q, the optimal logit", "D’s logit"], ink, (c) => {
      c.strokeStyle = ink.muted; c.lineWidth = 1; c.setLineDash([5, 4]);
      panel.line([[panel.x(-REACH), panel.y(-REACH)], [panel.x(REACH), panel.y(REACH)]]);
      c.setLineDash([]);
      for (let i = 0; i < weights.length; i++) {
        const share = weights[i] / most;
        if (!(share > 0.004) || !Number.isFinite(values[i])) continue;
        Object.assign(c, { fillStyle: ratio[i] > 0 ? ink.real : ink.fake, globalAlpha: clamp(Math.sqrt(share), 0.12, 0.85) });
        panel.dots(1, () => [clamp(ratio[i], -REACH, REACH), clamp(values[i], -REACH, REACH)], 2.2);
      }
      c.globalAlpha = 1;
    });
  };

  const game = arrays(data.spectrum), rounding = 1e-9;
  const eigenvalues = (near) => {
    const row = game.frames.reduce((found, frame, i) => (Math.abs(frame - near) < Math.abs(game.frames[found] - near) ? i : found), 0);
    const flat = at(game.values, row), found = [];
    for (let i = 0; i < flat.length; i += 2) {
      const growth = Math.log(Math.max(Math.hypot(flat[i], flat[i + 1]), 1e-6));
      found.push({ re: flat[i], im: flat[i + 1], growth, turn: Math.atan2(flat[i + 1], flat[i]), color: Math.abs(growth) <= rounding ? ink.muted : growth < 0 ? ink.real : ink.fake });
    }
    return { row, found: found.filter((each) => Number.isFinite(each.growth)) };
  };
  const all = game.values ? game.frames.flatMap((frame) => eigenvalues(frame).found) : [];
  const quantile = (values, share) => values.sort((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? 1;
  const sizes = all.map((each) => Math.abs(each.growth)).filter((size) => size > rounding);
  const widest = Math.max(0.01, ...sizes), smallest = clamp(quantile(sizes, 0.02), 1e-6 * widest, widest / 10);
  const turn = 1.25 * Math.max(1e-3, ...all.map((each) => Math.abs(each.turn))), reach = clamp(1.1 * Math.max(...all.map((each) => Math.max(Math.abs(each.re), Math.abs(each.im)))), 1.25, 5);
  const radius = (found) => Math.max(...found.map((each) => each.growth));
  const growing = (growth, exact) => {
    if (!(Math.abs(growth) > rounding)) return "";
    const period = Number((Math.LN2 / Math.abs(growth)).toPrecision(3));
    return exact ? `: the distance ${growth > 0 ? "doubles" : "halves"} every ${counted(period)} iterations` : "";
  };
  const near_one = (growth) => { const excess = Math.expm1(growth); return Math.abs(excess) >= 1e-3 ? Number((1 + excess).toPrecision(4)) : `1 ${excess < 0 ? "−" : "+"} ${Math.abs(excess).toExponential(1).replace("e-", "e−")}`; };
  const eigenplane = (panel, { near }) => {
    const { row, found } = eigenvalues(near), square = panel.canvas.clientWidth / panel.canvas.clientHeight;
    const moment = game.frames[row] === near ? "" : ` (at iteration ${counted(data.iterations[game.frames[row]])})`;
    const hidden = found.filter(({ re, im }) => Math.max(Math.abs(re), Math.abs(im)) > reach).length;
    panel.legend([{ name: "inside: decays", color: ink.real, dot: true }, { name: "outside: grows", color: ink.fake, dot: true }]);
    panel.remark.textContent = found.length ? `Spectral radius ${near_one(radius(found))}${game.exact ? growing(radius(found), true) : ", of plain gradient steps at these learning rates"}${moment}${hidden ? `; ${hidden} not visible` : ""}.` : "No finite eigenvalues.";
    panel.frame(linear(-reach * Math.max(square, 1), reach * Math.max(square, 1)), linear(-reach / Math.min(square, 1), reach / Math.min(square, 1)), ["Re λ", "Im λ"], ink, (c) => {
      c.beginPath();
      c.ellipse(panel.x(0), panel.y(0), panel.x(1) - panel.x(0), panel.y(0) - panel.y(1), 0, 0, 7);
      Object.assign(c, { fillStyle: ink.inside, strokeStyle: ink.muted, lineWidth: 1.2 });
      c.fill(); c.stroke();
      points(panel, found, (each) => [each.re, each.im]);
    }, { grid: false });
  };
  const points = (panel, found, place) => {
    for (const each of found) {
      Object.assign(panel.context, { fillStyle: each.color, globalAlpha: 0.7 });
      panel.dots(1, () => place(each), 3.6);
    }
    panel.context.globalAlpha = 1;
  };
  const rates = (panel, { near }) => {
    const { found } = eigenvalues(near), inside = found.filter((each) => each.growth < -rounding).length, outside = found.filter((each) => each.growth > rounding).length;
    panel.legend([{ name: `inside: ${inside}`, color: ink.real, dot: true }, { name: `outside: ${outside}`, color: ink.fake, dot: true }, { name: `on the circle: ${found.length - inside - outside}`, color: ink.muted, dot: true }]);
    panel.frame(symmetric(smallest, 2 * widest), linear(-turn, turn), ["log|λ|, growth per iteration", "arg λ, radians"], ink, (c) => {
      c.fillStyle = ink.inside;
      c.fillRect(panel.left, panel.top, panel.x(0) - panel.left, panel.bottom - panel.top);
      Object.assign(c, { strokeStyle: ink.muted, lineWidth: 1.2 });
      panel.line([[panel.x(0), panel.top], [panel.x(0), panel.bottom]]);
      points(panel, found, (each) => [each.growth, each.turn]);
    });
  };

  const walk = arrays(data.path);
  const path = (panel, { iteration }) => {
    const p = walk.points, n = p.shape[0], target = walk.target[0] ?? 0, distance = (i) => Math.hypot(p[2 * i] - target, p[2 * i + 1]);
    const finite = Array.from({ length: n }, (_, i) => distance(i)).filter(Number.isFinite), edge = 1.12 * (Math.min(Math.max(...finite), 5 * finite[0] || Infinity) || 1);
    const stretch = Math.max(panel.canvas.clientWidth / panel.canvas.clientHeight, 1);
    let end = walk.iterations.findLastIndex((at) => at <= iteration);
    end = Math.max(end, 0);
    panel.legend([{ name: "θ, the generator’s; ψ, the discriminator’s", color: ink.ink, dot: true }]);
    panel.remark.textContent = `Distance from the equilibrium (+): ${said(distance(end))}.`;
    panel.frame(linear(target - edge * stretch, target + edge * stretch), linear(-edge, edge), ["θ", "ψ"], ink, (c) => {
      const spot = (i) => [panel.x(p[2 * i]), panel.y(p[2 * i + 1])], stride = Math.max(1, Math.ceil(n / 4000));
      Object.assign(c, { strokeStyle: ink.pale, lineWidth: 1.2, lineJoin: "round" });
      panel.line(Array.from({ length: Math.ceil(n / stride) }, (_, i) => spot(i * stride)));
      c.lineWidth = 2;
      for (let i = stride; i <= end; i += stride) {
        c.strokeStyle = css(time, walk.iterations[i] / last);
        panel.line([spot(i - stride), spot(i)]);
      }
      c.strokeStyle = ink.ink; c.lineWidth = 1.6;
      for (const [dx, dy] of [[7, 0], [0, 7]]) panel.line([[panel.x(target) - dx, panel.y(0) - dy], [panel.x(target) + dx, panel.y(0) + dy]]);
      c.fillStyle = css(time, walk.iterations[end] / last);
      panel.dots(1, () => [p[2 * end], p[2 * end + 1]], 6);
    });
  };
  const readout = ({ near }) => (game.values ? [["spectral radius", near_one(radius(eigenvalues(near).found))]] : []);
  return { ink, last, readout, drawings: { main: { plane, line, images }[shown.kind], best, logit, eigenvalues: eigenplane, rates, path } };
};
