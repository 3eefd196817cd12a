"use strict";
// Arrays, colours, and a panel with two axes on a canvas. Nothing here knows of a run.
const TYPES = { f4: Float32Array, f8: Float64Array, i4: Int32Array };
const unpack = (packed) => {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  return Object.assign(new TYPES[packed.type](bytes.buffer), { shape: packed.shape });
};
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const mix = (a, b, share) => (Number.isFinite(a) && Number.isFinite(b) ? a + (b - a) * share : share < 0.5 ? a : b);
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
// 256 colours, [256 · 3], from fewer that are evenly spaced.
const ramp = (hexes) => {
  const colors = hexes.map(rgb), table = new Uint8Array(768);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (colors.length - 1), k = Math.min(Math.floor(place), colors.length - 2);
    for (let c = 0; c < 3; c++) table[3 * i + c] = Math.round(mix(colors[k][c], colors[k + 1][c], place - k));
  }
  return table;
};
const css = (table, share) => {
  const i = 3 * Math.round(255 * clamp(share, 0, 1));
  return `rgb(${table[i]},${table[i + 1]},${table[i + 2]})`;
};
const said = (x) => {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "–" : x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  const text = x === 0 ? "0" : size >= 1e5 || size < 1e-3 ? x.toExponential(1).replace("e+", "e") : size >= 1000 ? Math.round(x).toLocaleString("en") : String(Number(x.toPrecision(3)));
  return text.replaceAll("-", "−");
};
const counted = (n) => n.toLocaleString("en");

// Axes: each maps numbers to [0, 1], and has ticks.
const linear = (low, high, most = 5) => {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((each) => each >= raw * 0.999) ?? raw;
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
  return { low, high, ticks, place: (x) => (x - low) / (high - low), value: (share) => low + share * (high - low), text: (x) => said(Math.abs(x) < step / 1e6 ? 0 : x) };
};
const logarithmic = (low, high) => {
  const [a, b] = [Math.log10(low), Math.log10(high)], factors = b - a > 2.5 ? [1] : b - a > 1 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  const jump = Math.max(1, Math.ceil((b - a) / 6)), ticks = [];
  for (let k = Math.floor(a); k <= b; k += jump) ticks.push(...factors.map((f) => f * 10 ** k).filter((x) => x >= low && x <= high));
  return { low, high, ticks, place: (x) => (Math.log10(x) - a) / (b - a), value: (share) => 10 ** (a + share * (b - a)), text: said };
};
// Iterations from 0: log(1 + i).
const since = (last) => {
  const end = Math.log1p(Math.max(last, 1)), ticks = [0, 1];
  for (let i = 10; i <= last; i *= 10) ticks.push(i);
  return { low: 0, high: last, ticks, place: (x) => Math.log1p(x) / end, value: (share) => Math.expm1(share * end), text: (x) => (x >= 1e4 ? `10${[..."⁰¹²³⁴⁵⁶⁷⁸⁹"][Math.round(Math.log10(x))]}` : counted(x)) };
};
// Linear near 0, logarithmic elsewhere, both signs.
const symmetric = (small, limit) => {
  const squash = (x) => Math.sign(x) * Math.log1p(Math.abs(x) / small), end = squash(limit);
  const powers = [], last = Math.floor(Math.log10(limit)), first = Math.ceil(Math.log10(small));
  for (let k = last; k >= first; k -= Math.max(1, Math.ceil((last - first + 1) / 3))) powers.push(10 ** k);
  return { low: -limit, high: limit, ticks: [...powers.map((x) => -x), 0, ...powers], place: (x) => (squash(x) / end + 1) / 2, text: (x) => (x === 0 ? "0" : `${x < 0 ? "−" : ""}10${[...String(Math.round(Math.log10(Math.abs(x))))].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("")}`) };
};

class Panel {
  constructor(figure) {
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.remark = figure.querySelector(".remark");
  }
  // Clear the canvas, draw both axes, and clip to the area between them while `draw` runs.
  frame(x, y, names, ink, draw, { grid = true, ground } = {}) {
    const { canvas, context: c } = this, box = canvas.getBoundingClientRect(), density = devicePixelRatio || 1;
    const [width, height] = [box.width, box.height];
    if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    c.setTransform(density, 0, 0, density, 0, 0);
    c.clearRect(0, 0, width, height);
    c.font = `11px ${Panel.font}`;
    const labels = y.ticks.map(y.text), pad = 10 + Math.max(8, ...labels.map((text) => c.measureText(text).width)) + (names[1] ? 15 : 0);
    Object.assign(this, { left: pad, top: 6, right: width - 8, bottom: height - (names[0] ? 34 : 20) });
    this.x = (value) => this.left + x.place(value) * (this.right - this.left);
    this.y = (value) => this.bottom - y.place(value) * (this.bottom - this.top);
    this.axes = [x, y];
    c.save();
    c.beginPath();
    c.rect(this.left, this.top, this.right - this.left, this.bottom - this.top);
    c.clip();
    if (ground) { c.fillStyle = ground; c.fillRect(this.left, this.top, this.right - this.left, this.bottom - this.top); }
    if (grid) {
      c.strokeStyle = ink.pale; c.lineWidth = 1;
      for (const tick of y.ticks) this.line([[this.left, this.y(tick)], [this.right, this.y(tick)]]);
    }
    draw(c);
    c.restore();
    c.strokeStyle = ink.muted; c.lineWidth = 0.8;
    this.line([[this.left, this.top], [this.left, this.bottom], [this.right, this.bottom]]);
    c.fillStyle = ink.muted; c.textBaseline = "middle"; c.textAlign = "right";
    y.ticks.forEach((tick, i) => c.fillText(labels[i], this.left - 6, clamp(this.y(tick), this.top + 5, this.bottom)));
    c.textBaseline = "top"; c.textAlign = "center";
    let free = -Infinity;
    for (const tick of x.ticks) {
      const text = x.text(tick), half = c.measureText(text).width / 2, at = clamp(this.x(tick), half, width - half);
      if (at - half < free) continue;
      c.fillText(text, at, this.bottom + 6);
      free = at + half + 6;
    }
    c.fillStyle = ink.ink;
    if (names[0]) c.fillText(names[0], (this.left + this.right) / 2, height - 13);
    if (names[1]) {
      c.save(); c.translate(2, (this.top + this.bottom) / 2); c.rotate(-Math.PI / 2); c.fillText(names[1], 0, 0); c.restore();
    }
  }
  line(points, close = false) {
    const c = this.context;
    c.beginPath();
    let down = false;
    for (const [x, y] of points) {
      if (!Number.isFinite(x) || !Number.isFinite(y)) { down = false; continue; }
      const [u, v] = [clamp(x, -1e5, 1e5), clamp(y, -1e5, 1e5)];
      if (down) c.lineTo(u, v); else c.moveTo(u, v);
      down = true;
    }
    if (close) c.closePath();
    c.stroke();
  }
  dots(count, at, radius) {
    const c = this.context;
    c.beginPath();
    for (let i = 0; i < count; i++) {
      const [x, y] = at(i), [u, v] = [this.x(x), this.y(y)];
      if (!(u > this.left - 9 && u < this.right + 9 && v > this.top - 9 && v < this.bottom + 9)) continue;
      c.moveTo(u + radius, v);
      c.arc(u, v, radius, 0, 7);
    }
    c.fill();
  }
  // The Gaussian with mean [2] and covariance [xx, xy, yy] at k standard deviations.
  ellipse([mx, my], [xx, xy, yy], k) {
    const a = Math.sqrt(Math.max(xx, 0)), b = a > 0 ? xy / a : 0, d = Math.sqrt(Math.max(yy - b * b, 0)), points = [];
    for (let i = 0; i <= 72; i++) {
      const [u, v] = [k * Math.cos((i * Math.PI) / 36), k * Math.sin((i * Math.PI) / 36)];
      points.push([this.x(mx + a * u), this.y(my + b * u + d * v)]);
    }
    this.line(points);
  }
  // Values on a grid that fills the panel, [g, g] from the bottom up, painted by a function of a value to 0…255.
  paint(values, g, table, shade) {
    const picture = (this.surface ??= document.createElement("canvas"));
    picture.width = picture.height = g;
    const brush = picture.getContext("2d"), image = brush.createImageData(g, g), pixels = image.data;
    for (let row = 0; row < g; row++) {
      for (let column = 0; column < g; column++) {
        const from = row * g + column, to = 4 * ((g - 1 - row) * g + column), value = shade(values[from]);
        if (Number.isNaN(value)) continue;
        const i = 3 * Math.round(255 * clamp(value, 0, 1));
        pixels[to] = table[i]; pixels[to + 1] = table[i + 1]; pixels[to + 2] = table[i + 2]; pixels[to + 3] = 255;
      }
    }
    brush.putImageData(image, 0, 0);
    const [w, h] = [this.right - this.left, this.bottom - this.top], [sx, sy] = [w / (g - 1) / 2, h / (g - 1) / 2];
    this.context.imageSmoothingEnabled = true;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(picture, this.left - sx, this.top - sy, w + 2 * sx, h + 2 * sy);
  }
  // The line on which values on a grid [g, g] equal a level (marching squares).
  contour(values, g, level) {
    const c = this.context, [w, h] = [(this.right - this.left) / (g - 1), (this.bottom - this.top) / (g - 1)];
    c.beginPath();
    for (let row = 0; row < g - 1; row++) {
      for (let column = 0; column < g - 1; column++) {
        const k = row * g + column, corners = [values[k], values[k + 1], values[k + g + 1], values[k + g]];
        const above = corners.map((value) => value > level), crossings = [];
        if (above.every((each) => each === above[0]) || corners.some(Number.isNaN)) continue;
        for (let e = 0; e < 4; e++) {
          const f = (e + 1) % 4;
          if (above[e] === above[f]) continue;
          const t = (level - corners[e]) / (corners[f] - corners[e]);
          const [x, y] = [[t, 0], [1, t], [1 - t, 1], [0, 1 - t]][e];
          crossings.push([this.left + (column + x) * w, this.bottom - (row + y) * h]);
        }
        for (let i = 0; i + 1 < crossings.length; i += 2) {
          c.moveTo(...crossings[i]);
          c.lineTo(...crossings[i + 1]);
        }
      }
    }
    c.stroke();
  }
  legend(entries) {
    const box = this.figure.querySelector(".legend");
    if (!this.entries || this.entries.length !== entries.length) {
      this.entries = entries.map(({ color, dashed, dot, bar }) => {
        const entry = document.createElement("span"), mark = document.createElement("i"), text = document.createElement("span");
        mark.className = [dashed && "dashed", dot && "dot", bar && "bar"].filter(Boolean).join(" ");
        if (bar) mark.style.background = bar; else if (dot) mark.style.background = color; else mark.style.borderTopColor = color;
        const before = document.createElement("span");
        entry.append(before, mark, text);
        return [before, text];
      });
      box.replaceChildren(...this.entries.map(([before]) => before.parentElement));
    }
    entries.forEach(({ name, before = "" }, i) => {
      const [first, text] = this.entries[i];
      if (text.textContent !== name) text.textContent = name;
      if (first.textContent !== before) first.textContent = before;
    });
  }
}
