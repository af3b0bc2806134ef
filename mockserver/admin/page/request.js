// One request in full: what was sent, what was answered, and the command that sends it again.

import { attempt } from "./api.js";
import { curlOf } from "./curl.js";
import { $, copy, element, openDialog, setText, visible } from "./dom.js";
import { statusClass, timeOf } from "./format.js";

const SHOWN_AT_FIRST = 20_000;

let shown = null; // which one was asked for last

/** `neighbour` gives the seq of the one before or after another, if there is one. */
export async function showRequest(seq, neighbour) {
  shown = seq;
  const request = await attempt("GET", `requests/${seq}`);
  if (request === undefined || shown !== seq) return;
  setText($("request-title"), visible(`${request.method} ${request.path}`));
  const step = (button, to) => {
    button.disabled = to === undefined;
    button.onclick = () => showRequest(to, neighbour);
  };
  step($("request-newer"), neighbour(seq, 1));
  step($("request-older"), neighbour(seq, -1));
  $("request-body").replaceChildren(...partsOf(request));
  $("request-body").scrollTop = 0;
  openDialog($("request-dialog"));
}

function partsOf(request) {
  const { answer } = request;
  const { command, notes } = curlOf(request);
  const facts = [
    ["Status", element("span", { class: `status ${statusClass(request.status)}` }, request.status === null ? "no answer" : String(request.status))],
    ["Duration", request.duration_ms === null ? "–" : `${request.duration_ms.toFixed(1)} ms`],
    ["Time", visible(timeOf(request.at))],
    ["Operation", visible(request.operation ?? "none")],
    ["Organization", visible(request.organization ?? "none")],
  ];
  if (request.fault) facts.push(["Fault", visible(request.fault)]);
  const parts = [factList(facts)];
  if (request.reason) parts.push(element("p", { class: "callout refused" }, element("b", {}, "Why it was refused: "), visible(request.reason)));
  for (const warning of request.warnings) {
    parts.push(element("p", { class: "callout warning" }, element("b", {}, "Warning: "), visible(warning)));
  }
  parts.push(block("curl", command, { notes, tool: "Copy curl" }));
  parts.push(element("h3", {}, "Request"));
  if (Object.keys(request.query).length > 0) parts.push(pairs("Query", request.query));
  parts.push(pairs("Headers", request.headers), content("Body", request.body));
  parts.push(element("h3", {}, "Answer"), pairs("Headers", answer.headers));
  parts.push(content("Body", answer.body, answer.truncated ? [truncationOf(answer)] : []));
  return parts;
}

function truncationOf({ bytes }) {
  const size = bytes === null ? "a long answer" : `an answer of ${bytes.toLocaleString("en")} bytes`;
  return `The journal keeps the beginning of ${size} only.`;
}

export function factList(facts) {
  return element("dl", { class: "facts" }, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function pairs(title, values) {
  const rows = Object.entries(values).flatMap(([name, value]) =>
    [value].flat().map((each) => element("div", {}, element("dt", {}, visible(name)), element("dd", {}, visible(each)))),
  );
  if (rows.length === 0) return element("p", { class: "nothing" }, `${title}: none`);
  return element("details", { class: "pairs", open: title === "Query" }, element("summary", {}, `${title} (${rows.length})`), element("dl", {}, ...rows));
}

export function content(title, value, notes = []) {
  if (value === null) return element("p", { class: "nothing" }, `${title}: none`);
  return block(title, typeof value === "string" ? value : JSON.stringify(value, null, 2), { notes, tool: "Copy" });
}

function block(title, text, { notes, tool }) {
  const pre = element("pre", { tabIndex: 0 }, visible(text.slice(0, SHOWN_AT_FIRST)));
  pre.setAttribute("aria-label", title);
  const made = element(
    "section",
    { class: "block" },
    element("header", {}, element("h4", {}, title), element("button", { type: "button", class: "small", onclick: () => copy(text, title) }, tool)),
    pre,
  );
  if (text.length > SHOWN_AT_FIRST) {
    const all = element("button", { type: "button", class: "small" }, `Show all ${text.length.toLocaleString("en")} characters`);
    all.addEventListener("click", () => {
      setText(pre, visible(text));
      all.remove();
    });
    made.append(all);
  }
  for (const note of notes) made.append(element("p", { class: "hint" }, note));
  return made;
}
