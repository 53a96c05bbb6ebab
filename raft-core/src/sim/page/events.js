// The list of events. Only the rows in view exist.

const ROW = 22;

class Events {
  constructor(root, rows, run, shown, choose) {
    Object.assign(this, { root, rows, run, shown, choose, chosen: null });
    this.filter();
    root.addEventListener("scroll", () => this.draw());
  }

  filter() {
    this.list = this.run.events.filter(event => event.group === "violation" || this.shown.has(event.group));
    this.rows.style.height = `${this.list.length * ROW}px`;
  }

  // Where an event is in the list, or where it would be.
  placeOf(event) {
    let low = 0, high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle].at < event.at) low = middle + 1; else high = middle;
    }
    return low;
  }

  // The next event in one direction, of one node if one is given.
  next(event, step, direction, node = null) {
    let at = event ? this.placeOf(event) : atOrBefore(this.list, step) + (direction > 0 ? 0 : 1);
    for (at += direction; at >= 0 && at < this.list.length; at += direction) {
      const { node: from, to } = this.list[at];
      if (node === null || from === node || to === node) return this.list[at];
    }
    return null;
  }

  follow(event) {
    this.chosen = event;
    this.reveal(this.placeOf(event));
  }

  visit(step) {
    this.chosen = null;
    this.reveal(Math.max(0, atOrBefore(this.list, step)));
  }

  reveal(place) {
    const top = place * ROW, { scrollTop, clientHeight } = this.root;
    if (top < scrollTop + ROW || top > scrollTop + clientHeight - 2 * ROW) this.root.scrollTop = top - clientHeight / 2;
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW) - 5);
    const count = Math.ceil(this.root.clientHeight / ROW) + 10;
    const rows = this.list.slice(first, first + count).map((event, at) => this.row(event, first + at));
    this.rows.replaceChildren(...rows);
  }

  row(event, at) {
    const dot = element("i", { className: event.type === "message" ? "" : "square" });
    const mark = { fault: "alarm", order: "alarm", network: "soft", start: "ink", notice: "ink" }[event.kind];
    const name = { message: event.group, mark, request: "faint", violation: "alarm" }[event.type];
    dot.style.background = `var(--${name})`;
    const what = element("span", { className: event.type === "violation" ? "what alarm" : "what" });
    if (event.type === "message") {
      const lost = isLost(event) ? " ✗" : "";
      what.append(`${event.from} → ${event.to}${lost} ${event.kind} `, element("span", { className: "says" }, event.says));
    } else {
      what.append(event.text);
    }
    const row = element("div", { className: "row" }, element("span", { className: "at" }, String(event.step)), dot, what);
    row.style.top = `${at * ROW}px`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(event === this.chosen));
    row.addEventListener("click", () => this.choose(event));
    return row;
  }
}
