// One run in full: its fields, its attachments, and what can be done to it.

import { attempt } from "./api.js";
import { $, copy, element, openDialog, setText, visible } from "./dom.js";
import { content, factList } from "./request.js";
import { ACTIONS, isLive } from "./statuses.js";

const FACTS = [
  ["Workflow", "workflow_id"],
  ["Organization", "organization_id"],
  ["Machine", "machine_id"],
  ["Session", "session_id"],
  ["Created", "created_at"],
  ["Started", "started_at"],
  ["Ended", "ended_at"],
];
const CONTENTS = [
  ["Input values", "input_values"],
  ["Output data", "output_data"],
  ["Errors", "error"],
  ["Usage", "usage_metadata"],
];

let shown = null; // which one was asked for last

export async function showRun(id) {
  shown = id;
  const path = `runs/${encodeURIComponent(id)}`;
  const [run, attachments] = await Promise.all([attempt("GET", path), attempt("GET", `${path}/attachments`)]);
  if (run === undefined || shown !== id) return;
  draw(run, attachments?.items ?? []);
  openDialog($("run-dialog"));
}

/** Shows the run that is open again, if it is one of those that have changed. */
export function refreshRun(ids) {
  if ($("run-dialog").open && ids.has(shown)) showRun(shown);
}

function draw(run, attachments) {
  setText($("run-title"), `Run ${visible(run.id)}`);
  const facts = [["Status", element("span", { class: `run-status ${run.status}` }, visible(run.status))]];
  for (const [name, field] of FACTS) {
    if (run[field]) facts.push([name, element("span", { class: "mono" }, visible(run[field]))]);
  }
  const tools = element("div", { class: "buttons" });
  if (isLive(run)) {
    for (const [action, name, title] of ACTIONS) {
      tools.append(element("button", { type: "button", title, onclick: () => act(run.id, action) }, name));
    }
  }
  tools.append(element("button", { type: "button", onclick: () => copy(run.id, "the id") }, "Copy id"));
  const focused = document.activeElement?.closest("#run-body button")?.textContent;
  $("run-body").replaceChildren(
    tools,
    factList(facts),
    element("h3", {}, "Attachments"),
    attachmentList(attachments),
    element("h3", {}, "Contents"),
    ...CONTENTS.filter(([, field]) => run[field] !== undefined).map(([name, field]) => content(name, run[field])),
  );
  if (focused !== undefined) {
    const buttons = [...tools.children];
    (buttons.find((each) => each.textContent === focused) ?? buttons[0]).focus();
  }
}

async function act(id, action) {
  if ((await attempt("POST", `runs/${encodeURIComponent(id)}/${action}`)) !== undefined) await showRun(id);
}

function attachmentList(attachments) {
  if (attachments.length === 0) return element("p", { class: "nothing" }, "None.");
  const items = attachments.map((each) => {
    const item = element(
      "li",
      {},
      element("span", { class: "tag" }, visible(each.attachment_type)),
      element("bdi", { class: "filename" }, visible(each.filename)),
      element("span", { class: "size" }, `${each.size_bytes.toLocaleString("en")} bytes`),
    );
    const url = downloadUrl(each.url);
    if (url !== null) item.append(element("a", { class: "button small", href: url, download: "", rel: "noreferrer", "aria-label": `Download ${visible(each.filename)}` }, "Download"));
    return item;
  });
  return element("ul", { class: "attachments" }, ...items);
}

/** Null for what is no web address. */
function downloadUrl(text) {
  const url = URL.canParse(text, location.href) ? new URL(text, location.href) : null;
  return url !== null && ["http:", "https:"].includes(url.protocol) ? url.href : null;
}
