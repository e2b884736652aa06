// The operator's page: samples from /admin/events, one a second, put into the page as numbers, bars and lines.
"use strict";

(() => {
  /** What the charts show, in milliseconds: as much as there is, within these. */
  const SPAN = { least: 20_000, most: 120_000 };
  /** A line is not drawn across a longer hole. */
  const GAP = 3_500;
  /** Without a sample for so long, what is shown is old. */
  const STALE = 4_000;
  /** How soon a stream that the relay refused is tried again. */
  const RETRY = 5_000;

  const NAMES = {
    drops: {
      spilled: "Frames that went to an inbox: recipient too slow",
      refused: "Frames that could not be kept, told to their senders",
      stalls: "Senders that had to wait",
      media_overflow: "Voice, video, typing dropped: queue full",
      media_behind: "Voice, video, typing dropped: recipient catching up",
      media_away: "Voice, video, typing dropped: recipient away",
      left: "Frames dropped: recipient has left the channel",
      control_full: "Presence dropped: control queue full",
    },
    errors: {
      handshakes_failed: "Handshakes that failed",
      session_errors: "Sessions ended by an ERROR",
      malformed: "TLS and HTTP violations",
      timeouts: "Deadlines missed",
      store_full: "Store: too many requests at once",
      store_failed: "Store: failed",
      buffers_empty: "Receive buffers used up",
    },
  };
  const SERIOUS = new Set(["refused", "store_failed", "store_full", "buffers_empty"]);
  const QUEUES = [
    ["outbox_bytes", "Queued for recipients", bytes],
    ["outbox_fullest", "Queued for the slowest of them", bytes],
    ["inflight_bytes", "Between cores, or on the way to the store", bytes],
    ["lane_batches", "Batches waiting for another core", count],
    ["store_requests", "Requests the store works on", count],
    ["rest_calls", "REST calls being answered", count],
  ];

  const element = (id) => document.getElementById(id);
  const put = (id, text) => {
    const node = element(id);
    if (node.textContent !== text) node.textContent = text;
  };
  const make = (name, className, text) => {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text) node.textContent = text;
    return node;
  };

  // Numbers with units

  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

  function count(value) {
    if (value === null || value === undefined) return "–";
    if (value < 1e6) return whole.format(value);
    return value < 1e9 ? `${(value / 1e6).toFixed(2)} M` : `${(value / 1e9).toFixed(2)} G`;
  }

  function rate(value) {
    if (value === null || value === undefined) return "–";
    return value > 0 && value < 10 ? tenths.format(value) : count(value);
  }

  function bytes(value) {
    if (value === null || value === undefined) return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
      value /= 1024;
      unit += 1;
    }
    return `${unit && value < 100 ? tenths.format(value) : whole.format(value)} ${units[unit]}`;
  }

  function time(micros) {
    if (micros === null || micros === undefined) return "–";
    if (micros < 1000) return `${whole.format(micros)} µs`;
    const [value, unit] = micros < 1e6 ? [micros / 1e3, "ms"] : [micros / 1e6, "s"];
    return `${value < 100 ? tenths.format(value) : whole.format(value)} ${unit}`;
  }

  function duration(millis) {
    const seconds = Math.max(0, Math.floor(millis / 1000));
    const parts = [
      [Math.floor(seconds / 86400), "d"],
      [Math.floor(seconds / 3600) % 24, "h"],
      [Math.floor(seconds / 60) % 60, "min"],
      [seconds % 60, "s"],
    ];
    const first = parts.findIndex(([value]) => value > 0);
    const shown = first < 0 ? parts.slice(-1) : parts.slice(first, first + 2);
    return shown.map(([value, unit]) => `${value} ${unit}`).join(" ");
  }

  // Lines over the last two minutes

  const WIDTH = 240;
  const HEIGHT = 56;
  const charts = new Map();

  class Chart {
    constructor(svg) {
      const shape = (name) => {
        const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
        path.setAttribute("class", name);
        svg.append(path);
        return path;
      };
      svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
      svg.setAttribute("preserveAspectRatio", "none");
      this.area = shape("area");
      this.line = shape("line");
      this.points = [];
      const caption = svg.parentElement.querySelector("figcaption");
      if (caption) caption.append((this.top = make("span")));
    }

    add(at, value) {
      if (value !== null && value !== undefined) this.points.push([at, value]);
      while (this.points.length && at - this.points[0][0] > SPAN.most) this.points.shift();
      this.draw(at);
    }

    draw(now) {
      const first = this.points.length ? this.points[0][0] : now;
      const span = Math.max(SPAN.least, now - first);
      const top = Math.max(...this.points.map(([, value]) => value), 0);
      const place = ([at, value]) => [
        (WIDTH * (span - (now - at))) / span,
        // A line at zero stays visible, and one at the top is not cut.
        HEIGHT - 2 - (top > 0 ? (value / top) * (HEIGHT - 6) : 0),
      ];
      let line = "";
      let area = "";
      let run = [];
      const close = () => {
        if (run.length === 0) return;
        const path = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
        line += `M${path}`;
        area += `M${run[0][0].toFixed(1)} ${HEIGHT}L${path}L${run[run.length - 1][0].toFixed(1)} ${HEIGHT}Z`;
        run = [];
      };
      this.points.forEach((point, index) => {
        if (index > 0 && point[0] - this.points[index - 1][0] > GAP) close();
        run.push(place(point));
      });
      close();
      this.line.setAttribute("d", line);
      this.area.setAttribute("d", area);
      if (this.top) this.top.textContent = top > 0 ? `highest ${time(top)}` : "nothing to show";
    }
  }

  for (const svg of document.querySelectorAll("[data-chart]")) charts.set(svg.dataset.chart, new Chart(svg));

  // Tables and bars, whose rows are made once

  const rows = new Map();
  for (const [table, names] of Object.entries(NAMES)) {
    for (const [name, title] of Object.entries(names)) {
      const row = make("tr", SERIOUS.has(name) ? "serious" : "");
      const title_cell = make("th", "", title);
      title_cell.scope = "row";
      const [now, all] = [make("td", "now", "–"), make("td", "", "–")];
      row.append(title_cell, now, all);
      element(table).append(row);
      rows.set(name, { row, now, all });
    }
  }

  const queues = QUEUES.map(([name, title, write]) => {
    const value = make("dd", "", "–");
    element("queues").append(make("dt", "", title), value);
    return { name, value, write };
  });

  const cores = [];

  function core(index) {
    while (cores.length <= index) {
      const item = make("li", "core");
      const [name, share, bar, note] = [make("strong"), make("span"), make("div", "bar"), make("span", "note")];
      const fill = make("span");
      bar.append(fill);
      bar.setAttribute("role", "meter");
      bar.setAttribute("aria-valuemin", "0");
      bar.setAttribute("aria-valuemax", "100");
      item.append(name, share, bar, note);
      element("cores").append(item);
      cores.push({ item, name, share, bar, fill, note });
    }
    return cores[index];
  }

  function showCore(sample, index) {
    const { item, name, share, bar, fill, note } = core(index);
    const percent = sample.load === null ? 0 : sample.load * 100;
    const silent = sample.age > 2000;
    name.textContent = `Core ${sample.shard}`;
    share.textContent = sample.load === null ? "–" : `${tenths.format(percent)} %`;
    item.classList.toggle("high", percent >= 70);
    item.classList.toggle("full", percent >= 90 || silent);
    bar.setAttribute("aria-label", `Load of core ${sample.shard}`);
    bar.setAttribute("aria-valuenow", percent.toFixed(1));
    fill.style.transform = `translateX(${Math.min(percent, 100) - 100}%)`;
    note.textContent = silent
      ? `silent for ${duration(sample.age)}`
      : `${count(sample.connections)} connections · ${rate(sample.turns_per_second)} turns/s`;
  }

  // One sample

  let last = 0;
  let started = 0;

  function show(sample) {
    const now = Date.now();
    if (started && started !== sample.started) {
      for (const chart of charts.values()) chart.points = [];
    }
    [last, started] = [now, sample.started];
    const rates = sample.rates ?? {};

    put("version", `version ${sample.version}`);
    put("uptime", `Up for ${duration(sample.at - sample.started)}`);
    put("connections", count(sample.connections));
    put("devices", count(sample.devices));
    put("frames-in", rate(rates.frames_in));
    put("frames-out", rate(rates.frames_out));
    put("bytes-in", sample.rates ? `${bytes(rates.bytes_in)}/s` : "–");
    put("bytes-out", sample.rates ? `${bytes(rates.bytes_out)}/s` : "–");
    put("frames-in-total", count(sample.frames_in));
    put("frames-out-total", count(sample.frames_out));
    put("inbox-frames", count(sample.inbox?.frames));
    put("inbox-bytes", sample.inbox ? `${bytes(sample.inbox.bytes)} of payload` : "the store does not say");

    for (const name of ["turn", "store"]) {
      for (const part of ["p50", "p90", "p99"]) put(`${name}-${part}`, time(sample[name][part]));
      put(`${name}-count`, count(sample[name].count));
    }
    const over = Math.round(sample.percentiles_over);
    put("latency-over", over ? `of the last ${over} s` : "since the start");
    const recent = Math.round(sample.recent_over);
    for (const cell of document.querySelectorAll(".recent")) {
      cell.textContent = recent >= 59 || recent === 0 ? "last minute" : `last ${recent} s`;
    }

    sample.cores.forEach(showCore);
    for (const { name, total, recent: fresh } of sample.counts) {
      const shown = rows.get(name);
      if (!shown) continue;
      shown.now.textContent = count(fresh);
      shown.all.textContent = count(total);
      shown.now.classList.toggle("zero", fresh === 0);
      shown.all.classList.toggle("zero", total === 0);
      shown.row.classList.toggle("some", fresh > 0);
    }
    for (const { name, value, write } of queues) value.textContent = write(sample.queues[name]);

    charts.get("connections").add(now, sample.connections);
    charts.get("frames_in").add(now, rates.frames_in);
    charts.get("frames_out").add(now, rates.frames_out);
    charts.get("inbox").add(now, sample.inbox?.frames);
    // The first sample's percentiles are those of the relay's whole life.
    charts.get("turn").add(now, over ? sample.turn.p99 : null);
    charts.get("store").add(now, over ? sample.store.p99 : null);
  }

  // The stream, and what is to be said of it

  function state(name, text) {
    document.body.dataset.state = name;
    put("status", text);
  }

  function listen() {
    const stream = new EventSource("/admin/events");
    stream.onmessage = (event) => {
      show(JSON.parse(event.data));
      state("live", "Live");
    };
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) refused();
      else state(last ? "lost" : "connecting", last ? "Connection lost, trying again" : "Connecting");
    };
  }

  /** The relay answered, and not with a stream: signed out, too many watchers, or on its way down. */
  async function refused() {
    state("ended", "The relay ended the stream, trying again");
    try {
      const answer = await fetch("/api/security-stats", { cache: "no-store" });
      if (answer.status === 401) {
        state("ended", "Signed out");
        location.assign("/admin/login");
        return;
      }
    } catch {
      state("lost", "Connection lost, trying again");
    }
    setTimeout(listen, RETRY);
  }

  setInterval(() => {
    const age = Date.now() - last;
    if (document.body.dataset.state === "live" && age > STALE) state("stale", `No news for ${duration(age)}`);
    else if (document.body.dataset.state === "stale") put("status", `No news for ${duration(age)}`);
  }, 1000);

  put("host", location.host);
  listen();
})();
