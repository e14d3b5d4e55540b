"use strict";
// Draws the charts, fills the tables and applies the selectors. Texts from data become text nodes, never HTML.
(() => {
  const FIRST_ROWS = 100;
  const MAX_ROWS = 2000;
  const LONG_NAME = 48; // characters; longer names are broken
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const element = (name, text, attributes = {}) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };

  // Rows as objects. Texts are encoded as positions in a list of distinct texts.
  function decoded(columns) {
    const names = Object.keys(columns);
    const lists = names.map((name) => {
      const { texts, at } = columns[name];
      return texts ? at.map((position) => texts[position]) : columns[name];
    });
    const rows = lists.length ? lists[0].map((_, k) => ({ row: k })) : [];
    names.forEach((name, n) => rows.forEach((row, k) => (row[name] = lists[n][k])));
    return rows;
  }

  const number = (value, digits) =>
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");

  function formatted(row, column, withUnit) {
    const value = row[column.field];
    const unit = column.unit.startsWith("@") ? row[column.unit.slice(1)] : withUnit ? column.unit : "";
    if (column.kind === "text") return value === null || value === "none" ? "" : String(value);
    if (column.kind === "number") return value === null ? column.missing : number(value, column.digits) + unit;
    const [low, high] = [row[column.lo], row[column.hi]];
    if (low === null && high === null) return column.missing;
    const ends = [low === null ? "−∞" : number(low, column.digits), high === null ? "∞" : number(high, column.digits)];
    return `${ends[0]}–${ends[1]}${unit}`;
  }

  const heading = (column) => column.title + (column.unit && !column.unit.startsWith("@") ? ` (${column.unit.trim()})` : "");

  // --- one tooltip for all charts
  const tip = document.getElementById("tip");
  function showTip(event, row, columns) {
    const list = element("dl");
    for (const column of columns) {
      const text = formatted(row, column, true);
      if (text === "" || text === "–") continue;
      list.append(element("dt", column.title), element("dd", text));
    }
    tip.replaceChildren(list);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = event.clientX + 16 + width > innerWidth ? event.clientX - 16 - width : event.clientX + 16;
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, Math.min(event.clientY + 16, innerHeight - height - 8))}px`;
  }
  const hideTip = () => (tip.hidden = true);

  // --- charts
  class Chart {
    constructor(figure, isolate) {
      const content = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
      Object.assign(this, { figure, isolate, specs: content.specs, columns: content.columns });
      this.rows = decoded(content.rows);
      this.plot = figure.querySelector(".plot");
      this.details = figure.querySelector("details.table");
      this.listeners = [];
      this.busy = Promise.resolve();
      if (this.details) this.details.addEventListener("toggle", () => this.fill());
    }

    has(column) {
      return this.rows.length > 0 && column in this.rows[0];
    }

    // One drawing at a time; the last selection wins.
    show(choices, isolated) {
      const view = choices.view in this.specs ? choices.view : Object.keys(this.specs)[0];
      const maxOrder = Number(view) || Infinity;
      const filters = Object.entries(choices).filter(([name]) => this.has(name));
      this.selected = this.rows.filter((row) => filters.every(([name, value]) => String(row[name]) === value));
      this.visible = maxOrder < Infinity ? this.selected.filter((row) => row.order <= maxOrder) : this.selected;
      this.isolated = isolated;
      // Methods in colour are drawn over the grey ones.
      this.inOrder = [...this.visible].sort((a, b) => (a.front || 0) - (b.front || 0));
      this.figure.querySelector(".empty").hidden = this.visible.length > 0;
      this.plot.hidden = this.visible.length === 0;
      this.fill();
      this.listeners.forEach((listen) => listen(this.selected));
      this.busy = this.busy.then(() => this.draw(view, choices)).catch((error) => console.error(error));
      return this.busy;
    }

    async draw(view, choices) {
      if (!this.visible.length) return;
      const signals = {
        isolated: this.isolated,
        threshold: Number(choices.threshold),
        ticks: [...new Set(this.visible.map((row) => row.tick))],
      };
      const { params, height } = this.specs[view];
      const pixels = height.step ? height.step * new Set(this.visible.map((row) => row[height.of])).size : height;
      if (this.drawn === view) {
        const vegaView = this.embedded.view;
        for (const { name } of params) vegaView.signal(name, signals[name]);
        await vegaView.height(pixels).data("rows", this.inOrder).runAsync();
        return;
      }
      if (this.embedded) this.embedded.finalize();
      const spec = {
        ...this.specs[view],
        height: pixels,
        data: { name: "rows", values: this.inOrder },
        params: params.map(({ name }) => ({ name, value: signals[name] })),
      };
      this.embedded = await window.vegaEmbed(this.plot, spec, {
        mode: "vega-lite",
        renderer: "svg",
        ast: true,
        actions: false,
        logLevel: 1,
        tooltip: (_, event, item, row) => (row && "row" in row ? showTip(event, row, this.columns) : hideTip()),
      });
      this.drawn = view;
      this.embedded.view.addEventListener("click", (_, item) => {
        const method = item && item.datum && (item.datum.method || (item.datum.datum && item.datum.datum.method));
        if (method && this.isolate) this.isolate(method);
      });
    }

    fill() {
      if (!this.details || !this.details.open) return;
      const rows = this.visible.filter((row) => !this.isolated.length || this.isolated.includes(row.method));
      this.details.querySelector(".values").replaceChildren(tableOf(this.columns, rows.slice(0, MAX_ROWS)));
    }
  }

  function tableOf(columns, rows, heads) {
    const table = element("table");
    const head = element("tr");
    columns.forEach((column, k) => head.append(heads ? heads[k] : element("th", heading(column), { scope: "col", class: column.kind })));
    const body = element("tbody");
    for (const row of rows) {
      const line = element("tr");
      for (const column of columns) {
        const text = formatted(row, column, false);
        line.append(element("td", text, { class: text.length > LONG_NAME ? `${column.kind} long` : column.kind }));
      }
      body.append(line);
    }
    const top = element("thead");
    top.append(head);
    table.append(top, body);
    return table;
  }

  // --- the table of models: sorted by a click on a heading, filtered by a word
  class Sortable {
    constructor(place, chart) {
      Object.assign(this, { place, columns: chart.columns, rows: [], by: 0, down: false, maxRows: FIRST_ROWS });
      this.search = place.querySelector("input");
      this.more = place.querySelector(".more");
      this.search.addEventListener("input", () => this.draw());
      this.more.addEventListener("click", () => {
        this.maxRows = Infinity;
        this.draw();
      });
      chart.listeners.push((rows) => {
        this.rows = rows;
        this.draw();
      });
    }

    head(column, k) {
      const sorted = k === this.by ? (this.down ? "descending" : "ascending") : "none";
      const head = element("th", undefined, { scope: "col", class: column.kind, "aria-sort": sorted });
      const button = element("button", heading(column), { type: "button" });
      button.addEventListener("click", () => {
        this.down = k === this.by ? !this.down : false;
        this.by = k;
        this.draw();
        all("th button", this.place)[k].focus();
      });
      head.append(button);
      return head;
    }

    draw() {
      const word = this.search.value.trim().toLowerCase();
      const matching = this.rows.filter((row) => !word || row.model.toLowerCase().includes(word));
      const { field, kind } = this.columns[this.by];
      const sign = this.down ? -1 : 1;
      const sortValue = (row) => (row[field] === null ? Infinity * sign : row[field]);
      matching.sort((a, b) => (kind === "text" ? sign * a[field].localeCompare(b[field]) : sign * (sortValue(a) - sortValue(b)) || 0));
      const heads = this.columns.map((column, k) => this.head(column, k));
      this.place.querySelector(".scroll").replaceChildren(tableOf(this.columns, matching.slice(0, this.maxRows), heads));
      this.place.querySelector(".count").textContent = `${matching.length.toLocaleString("en-US")} models`;
      this.more.hidden = matching.length <= this.maxRows;
    }
  }

  // --- sections: selectors, a legend, charts
  function connect(section) {
    let isolated = [];
    const selects = all("select[data-column]", section);
    const buttons = all("button[data-method]", section);
    const showAll = section.querySelector(".everything");
    const isolate = (method) => {
      isolated = method === null ? [] : isolated.includes(method) ? isolated.filter((each) => each !== method) : [...isolated, method];
      for (const button of buttons) {
        button.setAttribute("aria-pressed", String(isolated.includes(button.dataset.method)));
        button.classList.toggle("dimmed", isolated.length > 0 && !isolated.includes(button.dataset.method));
      }
      if (showAll) showAll.hidden = isolated.length === 0;
      update();
    };
    const charts = all("figure[data-chart]", section).map((figure) => new Chart(figure, buttons.length ? isolate : null));

    // Each selector offers the values that remain after the earlier ones. An unavailable value falls back to the default or the first.
    function chosen() {
      const choices = {};
      for (const select of selects) {
        const name = select.dataset.column;
        const available = new Set();
        for (const chart of charts.filter((each) => each.has(name))) {
          const earlier = Object.entries(choices).filter(([key]) => chart.has(key));
          for (const row of chart.rows) if (earlier.every(([key, value]) => String(row[key]) === value)) available.add(String(row[name]));
        }
        if (available.size) {
          for (const option of select.options) option.disabled = option.hidden = !available.has(option.value);
          if (!available.has(select.value)) {
            select.value = available.has(select.dataset.default) ? select.dataset.default : [...select.options].find((each) => !each.disabled).value;
          }
        }
        choices[name] = select.value;
      }
      return choices;
    }

    const update = () => Promise.all(((choices) => charts.map((chart) => chart.show(choices, isolated)))(chosen()));
    for (const place of all(".sortable", section)) {
      new Sortable(place, charts.find((chart) => chart.figure.dataset.chart === place.dataset.of));
    }
    selects.forEach((select) => select.addEventListener("change", update));
    buttons.forEach((button) => button.addEventListener("click", () => isolate(button.dataset.method)));
    if (showAll) {
      showAll.addEventListener("click", () => {
        isolate(null);
        buttons[0].focus();
      });
    }
    section.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && isolated.length) isolate(null);
    });
    return update();
  }

  // --- light and dark
  function themes() {
    const button = document.getElementById("theme");
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const name = () => (button.textContent = dark() ? "Light" : "Dark");
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      name();
    });
    system.addEventListener("change", name);
    name();
  }

  themes();
  addEventListener("scroll", hideTip, { passive: true });
  addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
  Promise.all(all("main > section").map(connect)).then(() => (document.documentElement.dataset.drawn = "true"));
})();
