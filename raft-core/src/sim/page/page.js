// Puts the parts together: one chosen event, one chosen step, and everything that shows them.

const byId = id => document.getElementById(id);
const run = readRun(byId("run").textContent);
const LABELS = {
  votes: "votes", entries: "entries", heartbeats: "heartbeats", snapshots: "snapshots", requests: "forwarded",
  handover: "hand-over", faults: "faults", notices: "notices", clients: "clients",
};
const shown = new Set(Object.keys(LABELS).filter(group => group !== "clients"));
const diagram = new Diagram(byId("lanes"), run, shown);
const list = new Events(byId("events"), byId("rows"), run, shown, choose);

function choose(event) {
  diagram.chosen = event;
  diagram.reveal(event.step);
  list.follow(event);
  byId("chosen").replaceChildren(...describe(run, event));
  goTo(event.step);
}

// A step without an event of its own.
function visit(step) {
  diagram.chosen = null;
  goTo(step);
  list.visit(diagram.step);
  byId("chosen").replaceChildren(element("b", {}, `step ${diagram.step}`));
}

function goTo(step) {
  diagram.step = Math.round(Math.min(Math.max(step, 0), run.steps));
  showLogs(byId("logs"), run, diagram.step);
  redraw();
}

let isWaiting = false;
function redraw() {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    diagram.draw();
    drawOverview();
  });
}

// The whole run in one strip: who led when, what struck, and what part is in view.
function drawOverview() {
  const canvas = byId("overview"), g = canvas.getContext("2d");
  const { clientWidth: width, clientHeight: height } = canvas, ratio = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: width * ratio, height: height * ratio });
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  const x = step => GUTTER + (step / run.steps) * (width - GUTTER - 8), lane = (height - 12) / run.nodes.length;
  run.nodes.forEach((node, at) => {
    for (const band of run.bands.get(node)) {
      if (band.role === "down") continue;
      g.fillStyle = diagram.colours[band.role];
      g.fillRect(x(band.step), 6 + at * lane, Math.max(x(band.to) - x(band.step), 0.5), Math.max(lane - 1, 1));
    }
  });
  if (run.violation) {
    g.fillStyle = diagram.colours.alarm;
    g.fillRect(x(run.violation.step) - 1, 2, 2, height - 4);
  }
  const from = x(Math.max(0, diagram.view.from)), to = x(Math.min(run.steps, diagram.view.to));
  g.strokeStyle = diagram.colours.choice;
  g.lineWidth = 1.5;
  g.strokeRect(from, 2.5, Math.max(to - from, 4), height - 5);
  g.fillStyle = diagram.colours.soft;
  g.font = `11px ${diagram.font}`;
  g.fillText(`${run.steps} steps`, 20, height / 2 + 4);
}

function overviewStep(event) {
  const { left, width } = byId("overview").getBoundingClientRect();
  return ((event.clientX - left - GUTTER) / (width - GUTTER - 8)) * run.steps;
}

function showBanner() {
  const { violation } = run;
  byId("banner").classList.toggle("violated", violation !== null);
  const claim = violation ? violation.property : "every property holds";
  const where = violation ? `violated at step ${violation.step}` : `for ${run.steps} steps`;
  byId("headline").replaceChildren(element("span", {}, claim), ` · ${where} · seed ${run.seed}`);
  byId("details").textContent = violation?.details ?? "";
  byId("replay").textContent = run.replay;
  document.title = `seed ${run.seed}: ${claim}`;
}

function showTools() {
  const tools = byId("tools");
  const present = new Set(run.events.map(event => event.group));
  for (const [group, label] of Object.entries(LABELS)) {
    if (!present.has(group)) continue;
    const swatch = element("i");
    swatch.style.background = group in GROUPS ? `var(--${group})` : group === "faults" ? "var(--alarm)" : "var(--soft)";
    const button = element("button", { type: "button" }, swatch, label);
    button.setAttribute("aria-pressed", String(shown.has(group)));
    button.addEventListener("click", () => {
      if (!shown.delete(group)) shown.add(group);
      button.setAttribute("aria-pressed", String(shown.has(group)));
      list.filter();
      if (diagram.chosen) list.follow(diagram.chosen); else list.visit(diagram.step);
      redraw();
    });
    tools.append(button);
  }
  const roles = byId("roles");
  for (const role of ["leader", "candidate", "pre-candidate", "follower"]) {
    const swatch = element("i");
    swatch.style.background = `var(--${role === "follower" ? "lane" : role})`;
    roles.append(element("span", {}, swatch, role));
  }
}

function listenToPointer() {
  const area = byId("diagram"), hint = byId("hint");
  let drag = null;
  area.addEventListener("pointerdown", event => {
    drag = { x: event.offsetX, from: diagram.view.from, isMoved: false };
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", event => {
    const { offsetX: x, offsetY: y } = event;
    if (drag) {
      drag.isMoved ||= Math.abs(x - drag.x) > 3;
      area.classList.toggle("dragging", drag.isMoved);
      hint.hidden = true;
      diagram.show(drag.from - (x - drag.x) / diagram.scale, diagram.view.to - diagram.view.from);
      return redraw();
    }
    diagram.hovered = diagram.pick(x, y);
    hint.hidden = diagram.hovered === null;
    if (diagram.hovered) {
      hint.replaceChildren(...describe(run, diagram.hovered));
      hint.style.left = `${Math.min(x + 16, area.clientWidth - 350)}px`;
      hint.style.top = `${Math.min(y + 16, area.clientHeight - hint.offsetHeight - 6)}px`;
    }
    redraw();
  });
  area.addEventListener("pointerup", event => {
    const isClick = drag && !drag.isMoved;
    drag = null;
    area.classList.remove("dragging");
    if (!isClick) return;
    const picked = diagram.pick(event.offsetX, event.offsetY);
    if (picked) choose(picked); else if (event.offsetX > GUTTER) visit(diagram.stepAt(event.offsetX));
  });
  area.addEventListener("pointerleave", () => {
    diagram.hovered = null;
    hint.hidden = true;
    redraw();
  });
  area.addEventListener("wheel", event => {
    event.preventDefault();
    const isAlong = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const span = diagram.view.to - diagram.view.from;
    if (isAlong) diagram.show(diagram.view.from + (event.deltaX || event.deltaY) / diagram.scale, span);
    else diagram.zoom(Math.exp(event.deltaY * 0.0015), Math.max(event.offsetX, GUTTER));
    redraw();
  }, { passive: false });
  for (const name of ["pointerdown", "pointermove"]) {
    byId("overview").addEventListener(name, event => {
      if (event.buttons !== 1) return;
      byId("overview").setPointerCapture(event.pointerId);
      const span = diagram.view.to - diagram.view.from;
      diagram.show(overviewStep(event) - span / 2, span);
      redraw();
    });
  }
}

function otherEnd() {
  const { chosen, step } = diagram;
  if (chosen?.type !== "message") return;
  const there = chosen.end === "taken in" ? chosen.ended : chosen.due;
  diagram.reveal(there);
  goTo(step === chosen.sent ? there : chosen.sent);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "BUTTON") return;
  const go = to => { if (to) choose(to); };
  const move = (direction, node = null) => go(list.next(diagram.chosen, diagram.step, direction, node));
  const walk = by => { visit(diagram.step + by); diagram.reveal(diagram.step); };
  const node = diagram.chosen?.node ?? null;
  const whole = () => diagram.show(-run.steps * 0.02, run.steps * 1.05 + 4);
  const actions = {
    ArrowRight: () => (event.shiftKey ? walk(1) : move(1)), ArrowLeft: () => (event.shiftKey ? walk(-1) : move(-1)),
    ArrowDown: () => move(1, node), ArrowUp: () => move(-1, node), Enter: otherEnd,
    Home: () => go(list.list[0]), End: () => go(list.list.at(-1)),
    "+": () => diagram.zoom(0.7, diagram.x(diagram.step)), "=": () => diagram.zoom(0.7, diagram.x(diagram.step)),
    "-": () => diagram.zoom(1.4, diagram.x(diagram.step)), 0: whole,
    v: () => go(run.events.find(({ type }) => type === "violation")),
  };
  const action = actions[event.key] ?? actions[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
  redraw();
}

// Room came or went, for instance for the logs of one more node.
function fit() {
  diagram.resize();
  diagram.draw();
  drawOverview();
  list.draw();
}

showBanner();
showTools();
listenToPointer();
document.addEventListener("keydown", onKey);
new ResizeObserver(fit).observe(byId("diagram"));
window.addEventListener("resize", () => showLogs(byId("logs"), run, diagram.step));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { diagram.readColours(); redraw(); });
diagram.resize();
choose(run.events.find(({ type }) => type === "violation")
  ?? run.events.find(({ text }) => text?.includes("is leader")) ?? run.events[0]);
