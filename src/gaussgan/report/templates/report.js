"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Charts: drawn when they come into view, in the page's colours.
  const theme = (layout) => {
    const changes = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", "font.color": color("--ink"), "font.size": 13,
      "font.family": getComputedStyle(document.body).fontFamily, "legend.bgcolor": "rgba(0,0,0,0)",
      "hoverlabel.bgcolor": color("--card"), "hoverlabel.bordercolor": color("--faint"),
      "hoverlabel.font.color": color("--ink"), "hoverlabel.align": "left",
    };
    const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
    for (const axis of new Set(["xaxis", "yaxis", ...axes])) {
      Object.assign(changes, {
        [`${axis}.gridcolor`]: color("--grid"), [`${axis}.zerolinecolor`]: color("--grid"),
        [`${axis}.linecolor`]: color("--faint"), [`${axis}.tickcolor`]: color("--faint"),
        [`${axis}.tickfont.color`]: color("--muted"), [`${axis}.title.font.color`]: color("--muted"), [`${axis}.title.font.size`]: 13, [`${axis}.automargin`]: true,
      });
    }
    return changes;
  };
  const nested = (target, changes) => {
    for (const [path, value] of Object.entries(changes)) {
      const keys = path.split(".");
      const last = keys.pop();
      let node = target;
      for (const key of keys) {
        if (typeof node[key] !== "object" || node[key] === null) node[key] = key === "title" ? { text: node[key] ?? "" } : {};
        node = node[key];
      }
      node[last] = value;
    }
    return target;
  };
  const drawn = new Set();
  const draw = (chart) => {
    const figure = JSON.parse(chart.querySelector("script").textContent);
    const layout = nested(figure.layout, theme(figure.layout));
    layout.template = {};
    layout.autosize = true;
    delete layout.width;
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    if (innerWidth < 640) { // a phone: each entry of the legend has a line of its own
      const entries = figure.data.filter((trace) => trace.name && trace.showlegend !== false).length;
      layout.height += 20 * Math.max(0, entries - 2);
      chart.style.minHeight = `${layout.height}px`;
    }
    drawn.add(chart);
    Plotly.newPlot(chart, figure.data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  };
  const charts = document.querySelectorAll(".chart");
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "600px" });
  charts.forEach((chart) => watcher.observe(chart));
  addEventListener("beforeprint", () => charts.forEach((chart) => drawn.has(chart) || draw(chart)));
  dark.addEventListener("change", () => drawn.forEach((chart) => Plotly.relayout(chart, theme(chart.layout))));

  // The table of runs: filtered, sorted, and drawn a piece at a time.
  const { columns, rows, runs, errors } = JSON.parse(document.getElementById("run-data").textContent);
  const table = document.querySelector("#runs table");
  const head = table.tHead, body = table.tBodies[0], box = table.parentElement;
  const search = document.querySelector("#runs input"), shown = document.getElementById("shown");
  const status = columns.indexOf("status"), PIECE = 100;
  const numeric = columns.map((_, i) => rows.some((row) => typeof row[i + 1] === "number"));
  let texts = null, order = rows.map((_, i) => i), next = 0, sorted = -1, direction = 1;

  const element = (name, text, className) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  };
  const cell = (value) => {
    if (value === null) return "–";
    return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)).toString() : String(value);
  };
  const copyButton = (text) => {
    const button = element("button", "copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const area = element("textarea", text);
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1200);
    });
    return button;
  };
  const line = (row) => {
    const [place, link, text] = runs[row[0]];
    const tr = element("tr");
    columns.forEach((name, i) => {
      const value = row[i + 1];
      const known = i === status ? (value === "failed" ? "failed-status" : value) : numeric[i] ? "number" : "";
      tr.append(element("td", cell(value), known));
    });
    if (errors[row[0]]) tr.children[status].title = errors[row[0]];
    const where = element("td"), anchor = element("a", place);
    anchor.href = link;
    where.append(anchor);
    const command = element("td"), flex = element("div", undefined, "command"), code = element("code", text || "not known");
    code.title = text;
    flex.append(...(text ? [copyButton(text)] : []), code);
    command.append(flex);
    tr.append(where, command);
    return tr;
  };
  const more = () => {
    body.append(...order.slice(next, next + PIECE).map((i) => line(rows[i])));
    next = Math.min(next + PIECE, order.length);
  };
  const compare = (a, b) => {
    const [x, y] = [a, b].map((i) => rows[i][sorted + 1]);
    if (x === y) return a - b;
    if (x === null || y === null) return x === null ? 1 : -1;
    if (x === "∞" || y === "∞") return (x === "∞" ? 1 : -1) * direction;
    return direction * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true }));
  };
  const update = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    texts ??= rows.map((row) => [...row.slice(1).map(cell), runs[row[0]][0], errors[row[0]] ?? ""].join(" ").toLowerCase());
    order = rows.map((_, i) => i).filter((i) => words.every((word) => texts[i].includes(word)));
    if (sorted >= 0) order.sort(compare);
    body.replaceChildren();
    next = 0;
    box.scrollTop = 0;
    more();
    shown.textContent = `${order.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  };
  const tr = element("tr");
  [...columns, "directory", "command"].forEach((name, i) => {
    const th = element("th", name, numeric[i] ? "number" : "");
    if (i < columns.length) {
      th.tabIndex = 0;
      const sort = () => {
        direction = sorted === i ? -direction : 1;
        sorted = i;
        for (const other of tr.children) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        update();
      };
      th.addEventListener("click", sort);
      th.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    }
    tr.append(th);
  });
  head.append(tr);
  box.addEventListener("scroll", () => {
    if (box.scrollTop + box.clientHeight > box.scrollHeight - 400 && next < order.length) more();
  });
  search.addEventListener("input", update);
  update();
})();
