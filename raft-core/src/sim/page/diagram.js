// The space-time diagram: a lane for each node, time from left to right. Only what is in view is drawn.

const GUTTER = 104, RULER = 26, BAND = 12;

class Diagram {
  constructor(canvas, run, shown) {
    Object.assign(this, { canvas, run, shown, chosen: null, hovered: null, step: 0 });
    this.readColours();
    this.view = run.violation ? this.lastMoments() : { from: -5, to: 235 };
  }

  readColours() {
    const names = ["paper", "ink", "soft", "faint", "rule", "lane", "alarm", "calm", "choice", "well",
      "leader", "candidate", "pre-candidate", ...Object.keys(GROUPS)];
    this.colours = Object.fromEntries(names.map(name => [name, colour(name)]));
    this.colours.follower = this.colours.lane;
    this.font = getComputedStyle(document.body).fontFamily;
  }

  // Where a property is violated: so much of it that there is something to see, and not too much.
  lastMoments() {
    const { steps, messages } = this.run, early = messages.at(-80)?.sent ?? messages[0]?.sent ?? 0;
    const span = Math.min(240, Math.max(30, (steps - early) * 1.1));
    return { from: steps - span * 0.9, to: steps + span * 0.1 };
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: clientWidth * ratio, height: clientHeight * ratio });
    Object.assign(this, { width: clientWidth, height: clientHeight, ratio });
  }

  get scale() { return (this.width - GUTTER) / (this.view.to - this.view.from); }
  x(step) { return GUTTER + (step - this.view.from) * this.scale; }
  stepAt(x) { return this.view.from + (x - GUTTER) / this.scale; }
  y(node) {
    const lanes = this.run.nodes.length, room = this.height - RULER - 8, height = Math.min(room / lanes, 190);
    return RULER + (room - height * lanes) / 2 + height * (this.run.nodes.indexOf(node) + 0.5);
  }

  zoom(factor, x = (this.width + GUTTER) / 2) {
    const at = this.stepAt(x), whole = this.run.steps * 1.1 + 20;
    const span = Math.min(whole, Math.max(8, (this.view.to - this.view.from) * factor));
    const share = (x - GUTTER) / (this.width - GUTTER);
    this.show(at - span * share, span);
  }

  show(from, span) {
    const low = -span * 0.3, high = this.run.steps + span * 0.3 - span;
    const start = Math.min(Math.max(from, low), Math.max(low, high));
    this.view = { from: start, to: start + span };
  }

  reveal(step) {
    const { from, to } = this.view, span = to - from;
    if (step < from + span * 0.02 || step > to - span * 0.02) this.show(step - span / 2, span);
  }

  isShown(event) { return event.group === "violation" || this.shown.has(event.group); }

  draw() {
    const g = this.canvas.getContext("2d");
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    g.save();
    g.beginPath();
    g.rect(GUTTER, 0, this.width - GUTTER, this.height);
    g.clip();
    this.drawTime(g);
    this.drawBands(g);
    this.drawMessages(g);
    this.drawMarks(g);
    this.drawCursor(g);
    g.restore();
    this.drawGutter(g);
  }

  drawTime(g) {
    const { colours, view } = this;
    // Without faults from here on.
    const calm = Math.max(this.x(this.run.faultSteps), GUTTER), end = this.x(this.run.steps);
    g.fillStyle = colours.calm;
    g.fillRect(calm, RULER, Math.max(0, end - calm), this.height);
    const stride = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find(n => n * this.scale > 64) ?? 10000;
    g.font = `11px ${this.font}`;
    g.textAlign = "center";
    for (let step = Math.max(0, Math.ceil(view.from / stride) * stride); step <= Math.min(view.to, this.run.steps); step += stride) {
      g.fillStyle = colours.faint;
      g.fillText(step, this.x(step), 16);
      g.fillStyle = colours.rule;
      g.fillRect(Math.round(this.x(step)), RULER, 1, this.height);
    }
  }

  drawBands(g) {
    for (const node of this.run.nodes) {
      const bands = this.run.bands.get(node), y = this.y(node);
      let term = -1, labelled = -Infinity;
      const first = Math.max(0, atOrBefore(bands, this.view.from));
      for (let at = first; at < bands.length && bands[at].step <= this.view.to; at++) {
        const band = bands[at], from = this.x(band.step), to = this.x(band.to);
        this.drawBand(g, band, Math.max(from, GUTTER - 1), Math.min(to, this.width), y);
        if (band.role !== "down" && band.term !== term) {
          const x = Math.max(from, GUTTER + 2);
          if (x - labelled > 46) {
            g.font = `600 11px ${this.font}`;
            g.textAlign = "left";
            g.fillStyle = this.colours.soft;
            g.fillText(`term ${band.term}`, x + 1, y - BAND / 2 - 5);
            labelled = x;
          }
          term = band.term;
        }
      }
    }
  }

  drawBand(g, band, from, to, y) {
    const width = Math.max(to - from, 0.6);
    if (band.role === "down") {
      g.fillStyle = this.colours.faint;
      g.fillRect(from, y - 0.5, width, 1);
      return;
    }
    const isFull = band.standing === "voter" || band.standing === "leaving";
    const height = isFull ? BAND : BAND / 2;
    g.globalAlpha = band.paused ? 0.35 : 1;
    g.fillStyle = this.colours[band.role];
    g.fillRect(from, y - height / 2, width, height);
    g.globalAlpha = 1;
    if (band.paused) {
      g.strokeStyle = this.colours.soft;
      g.lineWidth = 1;
      g.beginPath();
      for (let x = from - (from % 6); x < to; x += 6) {
        g.moveTo(Math.max(x, from), y + height / 2);
        g.lineTo(Math.min(x + 5, to), y - height / 2);
      }
      g.stroke();
    }
  }

  // Where a message's line begins and ends; what is lost does not get there.
  line(message) {
    const { from, to, sent, due, ended, end } = message;
    const y1 = this.y(from), y2 = this.y(to), side = Math.sign(y2 - y1) * BAND / 2;
    const line = { x1: this.x(sent), y1: y1 + side, x2: this.x(end === "taken in" ? ended : due), y2: y2 - side };
    const share = { lost: 0.45, cut: 0.75 }[end] ?? 1;
    line.x2 = line.x1 + (line.x2 - line.x1) * share;
    line.y2 = line.y1 + (line.y2 - line.y1) * share;
    return line;
  }

  *visibleMessages() {
    const { from, to } = this.view;
    for (const message of this.run.messages) {
      if (message.sent > to) break;
      if (message.ended >= from && this.shown.has(message.group) && this.run.histories.has(message.to)) yield message;
    }
  }

  drawMessages(g) {
    // One path for each look is much faster than one for each message.
    const looks = new Map();
    const isDense = this.scale < 1;
    for (const message of this.visibleMessages()) {
      const key = `${message.group}${message.isReply} ${message.end}`;
      if (!looks.has(key)) looks.set(key, { path: new Path2D(), message });
      const { path } = looks.get(key), line = this.line(message);
      path.moveTo(line.x1, line.y1);
      path.lineTo(line.x2, line.y2);
      if (!isDense) this.addEnd(path, line, message);
    }
    for (const { path, message } of looks.values()) {
      g.strokeStyle = this.colours[message.group];
      g.setLineDash(message.end === "taken in" ? [] : [4, 3]);
      g.lineWidth = message.isReply ? 0.8 : 1.3;
      g.globalAlpha = (message.isReply ? 0.65 : 0.9) * (isDense ? 0.45 : 1) * (this.chosen?.type === "message" ? 0.6 : 1);
      g.stroke(path);
    }
    g.setLineDash([]);
    g.globalAlpha = 1;
    for (const event of [this.hovered, this.chosen]) {
      if (event?.type === "message" && this.run.histories.has(event.to)) this.drawStrong(g, event);
    }
  }

  // An arrow head, or a cross where a message is lost.
  addEnd(path, { x1, y1, x2, y2 }, message) {
    const angle = Math.atan2(y2 - y1, x2 - x1), lost = isLost(message);
    const arms = lost ? [0.8, -0.8, 2.34, -2.34] : [2.7, -2.7], length = lost ? 4 : 6;
    for (const arm of arms) {
      path.moveTo(x2, y2);
      path.lineTo(x2 + length * Math.cos(angle + arm), y2 + length * Math.sin(angle + arm));
    }
  }

  drawStrong(g, message) {
    const path = new Path2D(), line = this.line(message);
    path.moveTo(line.x1, line.y1);
    path.lineTo(line.x2, line.y2);
    this.addEnd(path, line, message);
    g.lineCap = "round";
    g.strokeStyle = this.colours.paper;
    g.lineWidth = 7;
    g.stroke(path);
    g.strokeStyle = this.colours[message.group];
    g.lineWidth = 3;
    g.stroke(path);
    g.lineCap = "butt";
  }

  drawMarks(g) {
    const { from, to } = this.view, { events } = this.run;
    for (let at = atOrBefore(events, from - 1) + 1; at < events.length && events[at].step <= to; at++) {
      const event = events[at];
      if (event.type === "message" || !this.isShown(event)) continue;
      if (event.type === "violation") this.drawViolation(g, event);
      else if (event.node === null) this.drawLine(g, event);
      else if (event.type === "mark") this.drawGlyph(g, event);
      else if (this.scale > 2) this.drawRequest(g, event);
    }
  }

  drawLine(g, event) {
    const x = Math.round(this.x(event.step)) + 0.5;
    g.strokeStyle = event === this.chosen ? this.colours.choice : this.colours.faint;
    g.setLineDash([2, 4]);
    g.lineWidth = 1;
    g.beginPath();
    g.moveTo(x, RULER);
    g.lineTo(x, this.height);
    g.stroke();
    g.setLineDash([]);
  }

  drawGlyph(g, event) {
    if (!this.run.histories.has(event.node)) return;
    const x = this.x(event.step), y = this.y(event.node), { colours } = this;
    g.lineWidth = 2;
    g.beginPath();
    if (event.kind === "fault") {
      g.strokeStyle = colours.alarm;
      g.moveTo(x - 5, y - 5); g.lineTo(x + 5, y + 5);
      g.moveTo(x - 5, y + 5); g.lineTo(x + 5, y - 5);
      g.stroke();
    } else if (event.kind === "start") {
      g.fillStyle = colours.ink;
      g.moveTo(x - 3, y - 5); g.lineTo(x + 6, y); g.lineTo(x - 3, y + 5);
      g.fill();
    } else {
      g.fillStyle = event.kind === "order" ? colours.alarm : colours.ink;
      const size = event.kind === "order" ? 4.5 : 2.5;
      g.moveTo(x - size, y); g.lineTo(x, y - size); g.lineTo(x + size, y); g.lineTo(x, y + size);
      g.fill();
    }
    if (event === this.chosen) {
      g.strokeStyle = colours.choice;
      g.lineWidth = 1.5;
      g.beginPath();
      g.arc(x, y, 10, 0, 7);
      g.stroke();
    }
  }

  // Below the lane: a client asks, or is told.
  drawRequest(g, event) {
    if (!this.run.histories.has(event.node)) return;
    const x = this.x(event.step), y = this.y(event.node) + BAND / 2 + 3, down = event.isAnswer;
    g.fillStyle = event === this.chosen ? this.colours.choice : this.colours.faint;
    g.beginPath();
    g.moveTo(x - 3, y + (down ? 0 : 5)); g.lineTo(x + 3, y + (down ? 0 : 5)); g.lineTo(x, y + (down ? 5 : 0));
    g.fill();
  }

  drawViolation(g, event) {
    const x = this.x(event.step);
    g.fillStyle = this.colours.alarm;
    g.fillRect(x - 1, RULER - 4, 2, this.height);
    g.font = `600 11px ${this.font}`;
    const text = event.text, width = g.measureText(text).width + 12;
    const left = x - width > GUTTER ? x - width : x, top = this.height - 26;
    g.fillRect(left, top, width, 18);
    g.fillStyle = this.colours.paper;
    g.textAlign = "left";
    g.fillText(text, left + 6, top + 13);
  }

  drawCursor(g) {
    const x = this.x(this.step);
    g.fillStyle = this.colours.choice;
    g.globalAlpha = 0.8;
    g.fillRect(x - 0.5, RULER - 4, 1, this.height);
    g.globalAlpha = 1;
    g.font = `600 11px ${this.font}`;
    const width = g.measureText(this.step).width + 10;
    g.fillRect(x - width / 2, 5, width, 17);
    g.fillStyle = this.colours.paper;
    g.textAlign = "center";
    g.fillText(this.step, x, 17);
  }

  // What each node is at the chosen step.
  drawGutter(g) {
    g.textAlign = "left";
    for (const node of this.run.nodes) {
      const state = stateAt(this.run, node, this.step), y = this.y(node);
      g.font = `600 13px ${this.font}`;
      g.fillStyle = this.colours.ink;
      g.fillText(`node ${node}`, 20, y - 1);
      g.font = `11px ${this.font}`;
      g.fillStyle = this.colours.soft;
      const role = !state || state.role === "down" ? "down" : state.paused ? "paused" : state.role;
      const standing = role === "follower" && state.standing !== "voter" ? state.standing : role;
      g.fillText(standing, 20, y + 13);
    }
  }

  // What is under the pointer, within a few pixels.
  pick(x, y) {
    let best = null, nearest = 7;
    for (const event of this.run.events) {
      if (event.type === "message" || event.node === null || !this.isShown(event)) continue;
      if (event.type === "request" && this.scale <= 2 || !this.run.histories.has(event.node)) continue;
      const below = event.type === "request" ? BAND / 2 + 5 : 0;
      const distance = Math.hypot(this.x(event.step) - x, this.y(event.node) + below - y);
      if (distance < nearest) [best, nearest] = [event, distance];
    }
    if (best) return best;
    for (const message of this.visibleMessages()) {
      const { x1, y1, x2, y2 } = this.line(message);
      const length = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
      const share = Math.min(1, Math.max(0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length));
      const distance = Math.hypot(x - x1 - share * (x2 - x1), y - y1 - share * (y2 - y1));
      if (distance < nearest) [best, nearest] = [message, distance];
    }
    return best;
  }
}
