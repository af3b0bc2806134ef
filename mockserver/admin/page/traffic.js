// The requests as they are answered: the newest first, so many of them and no more.

import { ApiError, NAMESPACE, attempt, call } from "./api.js";
import { drawElsewhere, emptyTraffic } from "./empty.js";
import { $, atMostEvery, element, setText, visible } from "./dom.js";
import { statusClass, timeOf } from "./format.js";
import { showRequest } from "./request.js";

const MOST_ROWS = 500;
const FIRST_READ = 200;
// No one reads faster, and each change of the list is a layout of it.
const DRAW_EVERY_MS = 200;
const LOOK_ELSEWHERE_EVERY_MS = 2000;

export class Traffic {
  /** `effectOf` tells what a fault does, by its id, where that is known. */
  constructor(effectOf) {
    this.effectOf = effectOf;
    this.list = $("traffic-list");
    this.entries = []; // by seq, the newest last
    this.waiting = []; // not yet drawn
    this.rows = new Map(); // by seq
    this.current = null; // the row that Tab reaches
    this.paused = false;
    this.seen = 0;
    this.draw = atMostEvery(DRAW_EVERY_MS, () => this.drawNow());
    this.journalIsOff = false;

    setInterval(() => this.lookElsewhere(), LOOK_ELSEWHERE_EVERY_MS);
    $("traffic-filter").addEventListener("input", () => this.redraw());
    $("traffic-refused").addEventListener("change", () => this.redraw());
    $("traffic-pause").addEventListener("click", () => this.pause(!this.paused));
    $("traffic-clear").addEventListener("click", () => this.clearJournal());
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest(".request");
      if (row) this.show(Number(row.dataset.seq));
    });
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.list.addEventListener("focusin", (event) => this.makeCurrent(event.target.closest(".request")));
  }

  /** Reads the journal anew. What has come by events meanwhile stays. */
  async load() {
    const read = await call("GET", `requests?limit=${FIRST_READ}`);
    const answered = read.items.filter((each) => each.status !== null || each.fault !== null).map(summaryOf);
    const known = new Map([...answered, ...this.entries].map((each) => [each.seq, each]));
    this.entries = [...known.values()].sort((a, b) => a.seq - b.seq).slice(-MOST_ROWS);
    this.seen = Math.max(this.seen, read.total);
    this.redraw();
  }

  /** While there is no request here, tells of those in other namespaces: a client may have a wrong base URL. */
  async lookElsewhere() {
    if (this.seen > 0 || this.journalIsOff || document.hidden || document.body.querySelector("#token-dialog[open]")) return;
    try {
      const { items } = await call("GET", "namespaces");
      drawElsewhere($("traffic-elsewhere"), this.seen > 0 ? [] : items);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // The state of the connection tells that the mock cannot be reached.
    }
  }

  clear() {
    this.entries = [];
    this.waiting = [];
    this.seen = 0;
    this.redraw();
  }

  async clearJournal() {
    if ((await attempt("DELETE", "requests")) !== undefined) this.clear();
  }

  add(entry) {
    this.seen += 1;
    this.entries.push(entry);
    if (this.entries.length > 2 * MOST_ROWS) this.entries.splice(0, this.entries.length - MOST_ROWS);
    if (!this.paused) {
      this.waiting.push(entry);
      if (this.waiting.length > MOST_ROWS) this.waiting.shift();
    }
    this.draw();
  }

  pause(paused) {
    this.paused = paused;
    $("traffic-pause").classList.toggle("on", paused);
    setText($("traffic-pause"), paused ? "Resume" : "Pause");
    if (!paused) this.redraw();
  }

  redraw() {
    this.waiting = this.entries.slice(-MOST_ROWS);
    this.rows.clear();
    this.list.replaceChildren();
    this.draw();
  }

  drawNow() {
    const isWanted = this.filter();
    const fragment = document.createDocumentFragment();
    for (const entry of this.waiting) {
      if (!isWanted(entry) || this.rows.has(entry.seq)) continue;
      const row = makeRow(entry, this.effectOf);
      this.rows.set(entry.seq, row);
      fragment.prepend(row);
    }
    this.waiting = [];
    this.list.prepend(fragment);
    while (this.list.children.length > MOST_ROWS) {
      const last = this.list.lastChild;
      this.rows.delete(Number(last.firstChild.dataset.seq));
      last.remove();
    }
    if (!this.list.contains(document.activeElement)) this.makeCurrent(this.list.firstElementChild?.firstChild);
    const count = String(this.seen);
    setText($("traffic-count"), count);
    setText($("view-traffic-count"), count);
    const isEmpty = this.list.children.length === 0;
    $("traffic-head").hidden = isEmpty;
    $("traffic-empty").hidden = !isEmpty;
    if (this.seen > 0) $("traffic-elsewhere").hidden = true;
    if (isEmpty) emptyTraffic($("traffic-empty"), this.entries.length > 0, this.journalIsOff);
  }

  filter() {
    const words = $("traffic-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const refusedOnly = $("traffic-refused").checked;
    return (entry) => {
      if (refusedOnly && !isRefused(entry)) return false;
      if (words.length === 0) return true;
      const text = `${entry.method} ${pathOf(entry)} ${entry.status ?? "no answer"} ${entry.operation ?? ""} ${entry.reason ?? ""} ${entry.organization ?? ""}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
  }

  /** One row is reached by Tab, the newest at first; the others from there by the arrow keys. */
  move(event) {
    const item = event.target.closest("li");
    const next = {
      ArrowDown: item?.nextElementSibling,
      ArrowUp: item?.previousElementSibling,
      Home: this.list.firstElementChild,
      End: this.list.lastElementChild,
    }[event.key];
    if (!next) return;
    event.preventDefault();
    next.firstChild.focus();
  }

  makeCurrent(row) {
    if (!row || row === this.current) return;
    if (this.current) this.current.tabIndex = -1;
    this.current = row;
    row.tabIndex = 0;
  }

  show(seq) {
    showRequest(seq, (from, step) => {
      const seqs = this.entries.map((each) => each.seq);
      return step > 0 ? seqs.find((each) => each > from) : seqs.findLast((each) => each < from);
    });
  }
}

/** What the list needs of a request that was read in full: bodies are not kept. */
function summaryOf({ headers, body, answer, ...summary }) {
  return summary;
}

function isRefused(entry) {
  return entry.status === null || entry.status >= 400;
}

function pathOf(entry) {
  // The page is about one namespace: its name would stand in every row.
  const prefix = NAMESPACE === "" ? "" : `/__ns/${NAMESPACE}`;
  const path = entry.path.startsWith(`${prefix}/`) ? entry.path.slice(prefix.length) : entry.path;
  const query = Object.entries(entry.query).flatMap(([name, value]) => [value].flat().map((each) => `${name}=${each}`));
  return query.length > 0 ? `${path}?${query.join("&")}` : path;
}

function makeRow(entry, effectOf) {
  const path = visible(pathOf(entry));
  const row = element(
    "button",
    { type: "button", class: "request", tabIndex: -1 },
    element("span", { class: "at" }, visible(timeOf(entry.at))),
    element("span", { class: "method" }, visible(entry.method)),
    element("span", { class: "path", title: path }, path),
    element("span", { class: `status ${statusClass(entry.status)}` }, entry.status === null ? "no answer" : String(entry.status)),
    element("span", { class: "ms" }, entry.duration_ms === null ? "–" : entry.duration_ms.toFixed(1)),
    element("span", { class: "operation" }, visible(entry.operation ?? "no operation")),
  );
  row.dataset.seq = entry.seq;
  const notes = notesOf(entry, effectOf);
  if (notes.length > 0) row.append(element("span", { class: "notes" }, ...notes));
  return element("li", {}, row);
}

function notesOf(entry, effectOf) {
  const notes = [];
  if (entry.fault) {
    const effect = effectOf(entry.fault);
    const text = effect === undefined ? entry.fault : `${entry.fault}: ${effect}`;
    notes.push(element("span", { class: "note fault" }, element("b", {}, "Fault "), visible(text)));
  }
  if (entry.reason && isRefused(entry)) notes.push(element("span", { class: "note reason" }, visible(entry.reason)));
  for (const warning of entry.warnings ?? []) {
    notes.push(element("span", { class: "note warning" }, element("b", {}, "Warning "), visible(warning)));
  }
  return notes;
}
