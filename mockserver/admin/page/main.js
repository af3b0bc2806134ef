// The page of the control API: puts its parts together, and gives them the events.

import { API_URL, NAMESPACE, ROOT_URL, ApiError, attempt, call, forgetToken, hasToken } from "./api.js";
import { Board } from "./board.js";
import { ClockPanel } from "./clock.js";
import { $, confirmed, copy, prepareDialogs, setText, toast, visible } from "./dom.js";
import { watch } from "./events.js";
import { FaultsPanel } from "./faults.js";
import { prepareNamespaces } from "./namespaces.js";
import { refreshRun } from "./run.js";
import { Traffic } from "./traffic.js";

const FAULTS_READ_AGAIN_MS = 1000;

const clock = new ClockPanel();
const board = new Board(clock);
const faults = new FaultsPanel();
const traffic = new Traffic((id) => faults.effectOf(id));

let isFirstOfConnection = true;
let faultsAreStale = null;

const handlers = {
  request(entry) {
    traffic.add(entry);
    // A fault that has met a request counts it; of that no event tells.
    if (entry.fault) faultsAreStale ??= setTimeout(readFaultsAgain, FAULTS_READ_AGAIN_MS);
  },
  runs(change) {
    board.change(change, { isWhole: isFirstOfConnection });
    isFirstOfConnection = false;
    refreshRun(new Set(change.changed.map((run) => run.id)));
  },
  clock: (content) => clock.set(content),
  fault: (fault) => faults.change(fault),
  faults: ({ items }) => faults.set(items),
  reset() {
    traffic.clear();
    load();
  },
  lost: () => load(),
};

function readFaultsAgain() {
  faultsAreStale = null;
  faults.reload();
}

async function load() {
  try {
    await Promise.all([clock.load(), faults.load(), traffic.load()]);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(error.message, "error");
  }
  $("token-forget").hidden = !hasToken();
}

function showState(state, wait, reason) {
  $("connection").dataset.state = state;
  const texts = { live: "Live", token: "Token needed", waiting: `${reason}; next attempt in ${(wait / 1000).toFixed(1)} s` };
  setText($("connection-text"), texts[state]);
}

function showView(view) {
  document.body.dataset.view = view;
  for (const button of document.querySelectorAll(".views button")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === view));
  }
}

async function reset() {
  const name = NAMESPACE === "" ? "the default namespace" : `the namespace ${visible(NAMESPACE)}`;
  const text = "Runs, requests, faults, clock, idempotency keys and limits go back to how they were at the start.";
  if (!(await confirmed(`Reset ${name}?`, text, "Reset"))) return;
  if ((await attempt("POST", "reset")) !== undefined) toast(`Reset ${name}`);
}

prepareDialogs();
prepareNamespaces();
setText($("base-url"), API_URL);
$("base-url").addEventListener("click", () => copy(API_URL, "the base URL"));
$("link-reference").href = `${ROOT_URL}/docs`;
$("reset").addEventListener("click", reset);
$("token-forget").addEventListener("click", () => {
  forgetToken();
  location.reload();
});
for (const button of document.querySelectorAll(".views button")) {
  button.addEventListener("click", () => showView(button.dataset.view));
}
for (const link of document.querySelectorAll(".skip a")) {
  link.addEventListener("click", () => showView(link.hash.slice(1)));
}

watch({
  onOpen() {
    isFirstOfConnection = true;
    traffic.clear();
    load();
  },
  onEvent: (type, content) => handlers[type]?.(content),
  onState: showState,
});
call("GET", "settings").then(
  (settings) => {
    traffic.journalIsOff = settings.journal_bytes === 0;
    traffic.redraw();
  },
  (error) => toast(error.message, "error"),
);
