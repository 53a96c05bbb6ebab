// What happened, as objects: read once, never changed.

const GROUPS = {
  votes: ["pre-vote", "pre-vote reply", "vote", "vote reply"],
  entries: ["append", "append reply"],
  heartbeats: ["heartbeat", "heartbeat reply"],
  snapshots: ["install snapshot", "install snapshot reply", "snapshot request"],
  requests: ["propose", "propose reply", "read", "read reply"],
  handover: ["timeout now"],
};
const ROLES = ["leader", "candidate", "pre-candidate", "follower", "down"];

function groupOf(kind) {
  return Object.keys(GROUPS).find(group => GROUPS[group].includes(kind)) ?? "requests";
}

function readRun(text) {
  const run = JSON.parse(text);
  run.messages = run.messages.map(([from, to, term, kind, origin, sent, due, ended, end, says]) => ({
    type: "message", group: groupOf(kind), isReply: kind.endsWith("reply"), step: sent, node: from,
    from, to, term, kind, origin, sent, due, ended, end, says,
  }));
  run.nodes = [...new Set(run.states.map(([, node]) => node))].sort((a, b) => a - b);
  run.histories = new Map(run.nodes.map(node => [node, []]));
  for (const [step, node, change] of run.states) {
    const history = run.histories.get(node);
    const before = history.at(-1) ?? { role: "down", standing: "", term: 0, log: [], votes: [] };
    history.push({ ...before, ...change, step });
  }
  run.bands = new Map(run.nodes.map(node => [node, bands(run.histories.get(node), run.steps)]));
  run.entries = new Map(run.entries.map(([index, term, kind, text]) => [`${index}@${term}`, { kind, text }]));
  run.events = events(run);
  run.events.forEach((event, at) => { event.at = at; });
  return run;
}

// Stretches of a lane that look the same.
function bands(history, end) {
  const all = [];
  for (const { step, role, paused, standing, term } of history) {
    const last = all.at(-1);
    if (last) last.to = step;
    const isSame = last && last.role === role && last.paused === paused && last.standing === standing && last.term === term;
    if (!isSame) all.push({ step, role, paused, standing, term, to: end });
  }
  if (all.length > 0) all.at(-1).to = end;
  return all;
}

// Everything that has its place in the list, in the order of the steps.
function events(run) {
  const all = run.messages.slice();
  for (const [step, node, kind, text] of run.marks) {
    all.push({ type: "mark", group: kind === "notice" ? "notices" : "faults", step, node, kind, text });
  }
  for (const [id, node, asked, command, answered, answer] of run.requests) {
    const what = command === null ? "reads" : `proposes ${command}`;
    const request = { type: "request", group: "clients", node, id, command, asked, answered, answer };
    all.push({ ...request, step: asked, text: `client ${id} ${what} at node ${node}` });
    if (answered !== null) {
      all.push({ ...request, step: answered, isAnswer: true, text: `client ${id} hears from node ${node}: ${answer}` });
    }
  }
  if (run.violation) {
    const { step, property } = run.violation;
    all.push({ type: "violation", group: "violation", step, node: null, text: property });
  }
  const order = ["mark", "message", "request", "violation"];
  return all.sort((a, b) => a.step - b.step || order.indexOf(a.type) - order.indexOf(b.type));
}

// The last item at or before a step.
function atOrBefore(items, step) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].step <= step) low = middle + 1; else high = middle;
  }
  return low - 1;
}

// What a node was after a step.
function stateAt(run, node, step) {
  const history = run.histories.get(node);
  return history[atOrBefore(history, step)];
}

// Messages whose fate is a loss; what is under way when the run ends is none.
function isLost(message) {
  return ["lost", "cut", "crashed"].includes(message.end);
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

// Name and value, line by line; values are text and never markup.
function facts(pairs) {
  const list = element("dl");
  for (const [name, value] of pairs) {
    if (value !== null && value !== "") list.append(element("dt", {}, name), element("dd", {}, String(value)));
  }
  return list;
}

function describe(run, event) {
  if (event.type !== "message") {
    const title = event.type === "violation" ? `Violated: ${event.text}` : event.text;
    const details = event.type === "violation" ? run.violation.details : "";
    const waited = event.isAnswer ? `${event.answered - event.asked} steps` : "";
    return [element("b", {}, title), facts([["step", event.step], ["waited", waited], ["seen", details]])];
  }
  const { from, to, kind, origin, sent, due, ended, end } = event;
  const fate = {
    "taken in": ended === due ? `taken in at ${ended}` : `arrived at ${due}, taken in at ${ended}`,
    "lost": "lost", "cut": `lost at ${ended}, its link was cut`,
    "crashed": `lost at ${ended}, its receiver crashed`, "under way": "the run ended first",
  }[end];
  return [
    element("b", {}, `${from} → ${to}  ${kind}`),
    facts([["says", event.says], ["term", event.term], ["sent", `step ${sent}`], ["then", fate], ["copy", origin]]),
  ];
}
