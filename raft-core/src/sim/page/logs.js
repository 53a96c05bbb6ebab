// The logs of all nodes at one step, index below index.

const CELL = 24, FACTS = 330;

function termAt(state, index) {
  return state.log.find(([last]) => index <= last)?.[1] ?? null;
}

function lastIndex(state) {
  return state.log.at(-1)?.[0] ?? state.mark ?? 0;
}

function showLogs(root, run, step) {
  const rows = run.nodes.map(node => [node, stateAt(run, node, step)]);
  const room = Math.max(6, Math.floor((root.clientWidth - 40 - FACTS) / CELL));
  const last = Math.max(1, ...rows.map(([, state]) => (state ? lastIndex(state) : 0)));
  const first = Math.max(1, last - room + 1);
  const indexes = Array.from({ length: Math.min(room, last - first + 1) }, (_, at) => first + at);

  const head = element("div", { className: "cells" });
  for (const index of indexes) {
    head.append(element("span", { className: "cell" }, index % 5 === 0 || index === last ? String(index) : ""));
  }
  const names = ["term", "vote", "commit", "applied", "durable"].map(name => element("span", {}, name));
  root.replaceChildren(element("div", { className: "log head" }, element("span", {}, `step ${step}`), ...names, head));
  for (const [node, state] of rows) root.append(logRow(run, node, state, indexes));
}

function logRow(run, node, state, indexes) {
  const isUp = state && state.role !== "down";
  const swatch = element("i");
  swatch.style.background = isUp ? `var(--${state.role === "follower" ? "lane" : state.role})` : "none";
  const row = element("div", { className: "log" }, element("span", { className: "who" }, swatch, `node ${node}`));
  row.title = isUp ? `members: ${state.members}` : "";
  if (!isUp) {
    row.append(element("span", { className: "says" }, "down"));
    return row;
  }
  for (const value of [state.term, state.vote ?? "–", state.commit, state.applied, state.durable]) {
    row.append(element("span", { className: "says" }, String(value)));
  }
  const cells = element("div", { className: "cells" });
  for (const index of indexes) cells.append(logCell(run, state, index));
  row.append(cells);
  return row;
}

function logCell(run, state, index) {
  if (index <= state.mark) {
    const title = `up to ${state.mark}@${state.markTerm}: in the snapshot`;
    return element("span", { className: "cell cut", title });
  }
  const term = termAt(state, index);
  if (term === null) return element("span", { className: "cell none" });
  const entry = run.entries.get(`${index}@${term}`);
  const names = ["cell", index <= state.commit ? "held" : "open"];
  if (index <= state.applied) names.push("applied");
  if (entry?.kind === "membership") names.push("members");
  const marks = [`${index}@${term}`, entry?.kind ?? "", entry?.text ?? ""];
  marks.push(index <= state.commit ? "committed" : "not committed", index <= state.durable ? "durable" : "not durable");
  const cell = element("span", { className: names.join(" "), title: marks.filter(Boolean).join("\n") }, String(term));
  cell.style.setProperty("--term", `var(--term-${term % 7})`);
  return cell;
}
