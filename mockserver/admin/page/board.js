// The runs as a board: a column for each status, in which the run that moved last is on top.

import { attempt } from "./api.js";
import { $, beforeNextFrame, copy, element, setText, visible } from "./dom.js";
import { emptyRuns } from "./empty.js";
import { durationText } from "./format.js";
import { showRun } from "./run.js";
import { ACTIONS, STATUSES, isLive } from "./statuses.js";

const MOST_CARDS = 40;
const MOST_FLASHES = 12;
const TICK_MS = 1000;

export class Board {
  constructor(clock) {
    this.clock = clock;
    this.runs = new Map(); // by id
    this.cards = new Map(); // by id, those that are in the page
    this.columns = new Map(); // by status
    this.moved = []; // cards that flash when all are in their places
    this.counts = {}; // of all runs, by status
    this.total = 0;
    this.arrivals = 0;
    this.isLoaded = false;
    this.isDrawn = false;
    this.draw = () => this.drawNow();
    $("board").replaceChildren(...STATUSES.map((status) => this.makeColumn(status)));
    $("runs-filter").addEventListener("input", () => beforeNextFrame(this.draw));
    $("runs-copy").addEventListener("click", () => this.copyIds(STATUSES));
    $("board").addEventListener("click", (event) => this.click(event));
    setInterval(() => this.tick(), TICK_MS);
  }

  clear() {
    this.runs.clear();
    this.counts = {};
    this.total = 0;
    beforeNextFrame(this.draw);
  }

  /** A `runs` event. The first of a connection is the whole. */
  change({ changed, gone, counts, total, workflow_names: names }, { isWhole }) {
    if (isWhole) this.runs.clear();
    for (const id of gone) this.runs.delete(id);
    // What is listed first is the newest: of the same moment it stays on top.
    for (const run of changed.toReversed()) {
      this.arrivals += 1;
      const lastMoment = run.ended_at ?? run.started_at ?? run.created_at;
      const workflow = names[run.workflow_id] ?? `workflow …${run.workflow_id.slice(-4)}`;
      this.runs.set(run.id, { ...run, workflow, arrival: this.arrivals, lastMoment, text: searchText(run, workflow) });
    }
    this.counts = counts;
    this.total = total;
    this.isLoaded = true;
    beforeNextFrame(this.draw);
  }

  words() {
    return $("runs-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  }

  matching(statuses) {
    const words = this.words();
    const wanted = new Set(statuses);
    return [...this.runs.values()].filter((run) => wanted.has(run.status) && words.every((word) => run.text.includes(word)));
  }

  copyIds(statuses) {
    const ids = this.matching(statuses).sort(newestFirst).map((run) => run.id);
    const ofNewest = this.runs.size < this.total ? ` of the newest ${this.runs.size.toLocaleString("en")} runs` : "";
    return copy(ids.join("\n"), `${ids.length} ${ids.length === 1 ? "id" : "ids"}${ofNewest}`);
  }

  async click(event) {
    const button = event.target.closest("button");
    if (!button) return;
    const { status } = button.dataset;
    if (status !== undefined) {
      this.copyIds([status]);
      return;
    }
    const { id } = button.closest(".card").dataset;
    const { action } = button.dataset;
    if (action === undefined) {
      showRun(id);
      return;
    }
    // Not disabled meanwhile: a button that is loses the focus.
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    await attempt("POST", `runs/${encodeURIComponent(id)}/${action}`);
    button.ariaBusy = null;
  }

  makeColumn(status) {
    const count = element("span", { class: "count" }, "0");
    const list = element("ul", { class: "cards", "aria-label": `Runs in ${status}` });
    const more = element("p", { class: "more", hidden: true });
    const copyButton = element("button", { type: "button", class: "small quiet", "aria-label": `Copy the ids in ${status}`, title: `Copy the ids in ${status}` }, "Copy");
    copyButton.dataset.status = status;
    const column = element(
      "section",
      { class: `column ${status}`, "aria-label": status },
      element("header", {}, element("h3", {}, status), count, copyButton),
      list,
      more,
    );
    this.columns.set(status, { column, count, list, more, copyButton });
    return column;
  }

  drawNow() {
    const focused = document.activeElement;
    const focusedCard = focused?.closest("#board .card");
    const byStatus = Map.groupBy(this.matching(STATUSES), (run) => run.status);
    const isFiltered = this.words().length > 0;
    const kept = new Set();
    let shown = 0;
    for (const status of STATUSES) {
      const runs = (byStatus.get(status) ?? []).sort(newestFirst);
      shown += runs.length;
      const { column, count, list, more, copyButton } = this.columns.get(status);
      // The page knows the newest runs only. Those are filtered, all are counted.
      const total = isFiltered ? runs.length : (this.counts[status] ?? 0);
      setText(count, total.toLocaleString("en"));
      column.classList.toggle("is-empty", total === 0);
      copyButton.hidden = runs.length === 0;
      const cards = runs.slice(0, MOST_CARDS);
      this.arrange(list, cards, kept);
      const others = (total - cards.length).toLocaleString("en");
      more.hidden = total <= cards.length;
      setText(more, cards.length === 0 ? `${others} older` : `and ${others} more`);
    }
    for (const [id, card] of this.cards) {
      if (kept.has(id)) continue;
      card.remove();
      this.cards.delete(id);
    }
    const known = this.runs.size;
    const ofAll = known < this.total ? ` newest of ${this.total.toLocaleString("en")}` : "";
    setText($("runs-count"), shown === known ? `${known.toLocaleString("en")}${ofAll}` : `${shown} of ${known}${ofAll}`);
    setText($("view-runs-count"), String(this.total));
    $("runs-copy").disabled = shown === 0;
    $("board").hidden = shown === 0;
    $("runs-empty").hidden = shown > 0 || !this.isLoaded;
    if (shown === 0) emptyRuns($("runs-empty"), known > 0);
    this.isDrawn = this.isLoaded;
    // Of a whole crowd that moves at once each flash would say nothing, and cost frames.
    const moved = this.moved.splice(0);
    if (moved.length <= MOST_FLASHES) {
      // The animation starts anew only when the class was seen to be gone.
      requestAnimationFrame(() => moved.forEach((card) => card.classList.add("moved")));
    }
    // A card that moves to another column takes the focus along.
    if (focusedCard?.isConnected && document.activeElement !== focused) {
      const isThere = focused.checkVisibility();
      (isThere ? focused : focusedCard.querySelector(".card-open")).focus({ preventScroll: true });
    }
  }

  /** Makes the cards of a column these, in this order, and touches only what is not so yet. */
  arrange(list, runs, kept) {
    const wanted = new Set(runs.map((run) => run.id));
    for (const card of [...list.children]) {
      if (!wanted.has(card.dataset.id)) card.remove();
    }
    let place = list.firstChild;
    for (const run of runs) {
      kept.add(run.id);
      let card = this.cards.get(run.id);
      if (card === undefined) {
        card = makeCard(run);
        this.cards.set(run.id, card);
      }
      this.fill(card, run);
      if (card === place) place = place.nextSibling;
      else list.insertBefore(card, place);
    }
  }

  fill(card, run) {
    if (card.run === run) return;
    const isNew = card.run === undefined;
    const hasMoved = !isNew && card.run.status !== run.status;
    card.run = run;
    card.querySelector(".card-actions").hidden = !isLive(run);
    setText(card.querySelector(".took"), this.took(run));
    card.classList.remove("moved");
    if (hasMoved || (isNew && this.isDrawn)) this.moved.push(card);
  }

  tick() {
    for (const card of this.cards.values()) {
      if (isLive(card.run)) setText(card.querySelector(".took"), this.took(card.run));
    }
  }

  took(run) {
    const from = Date.parse(run.started_at ?? run.created_at);
    const to = run.ended_at ? Date.parse(run.ended_at) : this.clock.now();
    return to === null || Number.isNaN(from) ? "" : durationText(Math.max(0, to - from));
  }
}

function newestFirst(a, b) {
  if (a.lastMoment !== b.lastMoment) return a.lastMoment < b.lastMoment ? 1 : -1;
  return b.arrival - a.arrival;
}

function searchText(run, workflow) {
  return `${run.id} ${run.workflow_id} ${workflow} ${run.machine_id ?? ""} ${run.organization_id ?? ""} ${run.status}`.toLowerCase();
}

function makeCard(run) {
  const short = visible(run.id.slice(0, 8));
  const actions = ACTIONS.map(([action, name, title]) => {
    const button = element("button", { type: "button", class: "small", title, "aria-label": `${name} ${short}` }, name);
    button.dataset.action = action;
    return button;
  });
  const card = element(
    "li",
    { class: "card" },
    element(
      "button",
      { type: "button", class: "card-open", title: `Run ${visible(run.id)}\nWorkflow ${visible(run.workflow_id)}\nOrganization ${visible(run.organization_id)}` },
      element("span", { class: "id" }, short),
      element("span", { class: "took" }),
      element("span", { class: "workflow" }, visible(run.workflow)),
    ),
    element("div", { class: "card-actions" }, ...actions),
  );
  card.dataset.id = run.id;
  return card;
}
