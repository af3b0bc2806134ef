// The faults of the namespace: presets as switches, each fault with its counts, and a form for a new one.

import { ApiError, attempt, call } from "./api.js";
import { $, beforeNextFrame, element, setText, visible } from "./dom.js";

const OF_ITS_STATE = new Set(["id", "matched", "applied", "active"]);
const EFFECTS = [
  ["500 Internal Server Error", { answer: { status: 500 } }],
  ["503 Service Unavailable", { answer: { status: 503 } }],
  ["429 with Retry-After: 2", { answer: { status: 429, headers: { "Retry-After": "2" } } }],
  ["404 Not Found", { answer: { status: 404 } }],
  ["401 Unauthorized", { answer: { status: 401 } }],
  ["a delay of 2 seconds", { delay_s: 2 }],
  ["no answer, ever", { fault: "hang" }],
  ["a reset connection", { fault: "reset" }],
  ["an answer cut after 40 bytes", { fault: "cut", after_bytes: 40 }],
  ["an answer in small pieces, over 2 seconds", { fault: "slow" }],
  ["bytes that are not HTTP", { fault: "garbage" }],
  ["an answer that is not JSON", { fault: "not-json" }],
  ["an answer whose JSON ends after 40 bytes", { fault: "truncated-json" }],
  ["an answer without a required field", { fault: "break-schema", how: "missing-field" }],
  ["an unknown status in the answer", { fault: "break-schema", how: "unknown-status" }],
  ["done, but the answer is lost", { fault: "lost-answer" }],
  ["half of the runs of a bulk create fail", { fault: "partial-failure" }],
  ["a previous answer to the same read", { fault: "stale-read" }],
];

const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });

export class FaultsPanel {
  constructor() {
    this.faults = new Map();
    this.presets = [];
    this.switches = new Map();
    this.draw = () => this.drawNow();
    for (const [index, [name]] of EFFECTS.entries()) $("fault-effect").append(element("option", { value: String(index) }, name));
    $("faults-clear").addEventListener("click", async () => {
      if ((await attempt("DELETE", "faults")) !== undefined) this.set([]);
    });
    $("fault-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.addOne();
    });
    $("fault-details").addEventListener("toggle", () => this.showWrong(""));
  }

  async load() {
    const [presets, faults] = await Promise.all([call("GET", "presets"), call("GET", "faults")]);
    this.presets = presets.items;
    this.makeSwitches();
    this.set(faults.items);
  }

  set(faults) {
    this.faults = new Map(faults.map((each) => [each.id, each]));
    beforeNextFrame(this.draw);
  }

  /** One as an event tells of it: whole, or only that it is gone. */
  change(fault) {
    if (fault.match === undefined) this.faults.delete(fault.id);
    else this.faults.set(fault.id, fault);
    beforeNextFrame(this.draw);
  }

  async reload() {
    const faults = await attempt("GET", "faults");
    if (faults !== undefined) this.set(faults.items);
  }

  async addOne() {
    const times = $("fault-times").value;
    const [, effect] = EFFECTS[Number($("fault-effect").value)];
    const fault = { match: $("fault-match").value.trim(), ...effect };
    if (times !== "") fault.times = Number(times);
    this.showWrong("");
    try {
      await call("POST", "faults", fault);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.showWrong(error.message);
      return;
    }
    await this.reload();
  }

  /** Says in the form what is wrong with the fault; an empty text removes it. */
  showWrong(text) {
    setText($("fault-wrong"), visible(text));
    $("fault-wrong").hidden = text === "";
  }

  makeSwitches() {
    this.switches.clear();
    const items = this.presets.map((preset) => {
      const button = element(
        "button",
        { type: "button", role: "switch", "aria-checked": "false", class: "switch", onclick: () => this.turn(preset) },
        element("span", { class: "track", "aria-hidden": "true" }),
        element("span", { class: "name" }, visible(preset.name)),
        element("span", { class: "summary" }, visible(preset.summary)),
      );
      this.switches.set(preset.name, button);
      return element("li", {}, button);
    });
    $("presets").replaceChildren(...items);
  }

  async turn(preset) {
    const ids = this.idsOf(preset);
    if (ids === null) await attempt("POST", "faults", { preset: preset.name });
    else for (const id of ids) await attempt("DELETE", `faults/${encodeURIComponent(id)}`);
    await this.reload();
  }

  /** The faults in force that are those of the preset; null where not all of them are there. */
  idsOf(preset) {
    const ids = [];
    for (const wanted of preset.faults) {
      const text = canonical(wanted);
      const found = [...this.faults.values()].find((each) => each.active && !ids.includes(each.id) && canonical(each) === text);
      if (found === undefined) return null;
      ids.push(found.id);
    }
    return ids;
  }

  /** What a fault does; undefined where it is no longer there. */
  effectOf(id) {
    const fault = this.faults.get(id);
    return fault && effectOf(fault);
  }

  drawNow() {
    for (const preset of this.presets) {
      this.switches.get(preset.name)?.setAttribute("aria-checked", String(this.idsOf(preset) !== null));
    }
    const faults = [...this.faults.values()];
    const active = faults.filter((each) => each.active).length;
    setText($("faults-state"), active === 0 ? "None active" : `${active} active`);
    $("faults").dataset.state = active === 0 ? "none" : "active";
    setText($("view-faults-count"), String(active));
    $("faults-clear").hidden = faults.length === 0;
    const focused = document.activeElement?.closest?.("#fault-list [data-fault]")?.dataset.fault;
    $("fault-list").replaceChildren(...faults.map((each) => this.item(each)));
    if (focused !== undefined) $("fault-list").querySelector(`[data-fault="${CSS.escape(focused)}"]`)?.focus();
  }

  item(fault) {
    const remove = element("button", { type: "button", class: "small", "data-fault": fault.id, "aria-label": `Remove fault ${fault.id}` }, "Remove");
    remove.addEventListener("click", async () => {
      if ((await attempt("DELETE", `faults/${encodeURIComponent(fault.id)}`)) !== undefined) this.change({ id: fault.id });
    });
    const counts = `applied to ${fault.applied} of ${fault.matched} matching requests${fault.active ? "" : ", over"}`;
    return element(
      "li",
      { class: fault.active ? "" : "over" },
      element("span", { class: "fault-match" }, visible(fault.match)),
      element("span", { class: "fault-effect" }, visible(effectOf(fault))),
      element("span", { class: "fault-counts" }, `${visible(fault.id)} · ${counts}`),
      remove,
    );
  }
}

function canonical(fault) {
  return JSON.stringify(sorted(Object.fromEntries(Object.entries(fault).filter(([name]) => !OF_ITS_STATE.has(name)))));
}

function sorted(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(sorted);
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

/** Which requests: of those that match, and that no fault before it has taken. */
function placeOf({ nth, cycle }) {
  const [first, last] = [nth].flat();
  const place = last === undefined || last === first ? ordinal(first) : `${ordinal(first)} to ${ordinal(last)}`;
  return cycle === undefined ? `the ${place} request that reaches it` : `the ${place} of every ${cycle} requests that reach it`;
}

function ordinal(number) {
  const ending = { one: "st", two: "nd", few: "rd", other: "th" }[ORDINALS.select(number)];
  return `${number}${ending}`;
}

function effectOf(fault) {
  const parts = [];
  if (fault.answer) parts.push(`answer ${fault.answer.status ?? ""}`.trim());
  if (fault.fault) parts.push(fault.fault + (fault.how ? ` ${fault.how}` : ""));
  if (fault.after_bytes !== undefined) parts.push(`after ${fault.after_bytes} bytes`);
  if (fault.failed !== undefined) parts.push(`${fault.failed} runs fail`);
  if (fault.share !== undefined) parts.push(`a share of ${fault.share} fails`);
  if (fault.stale_s !== undefined) parts.push(`${fault.stale_s} s old`);
  if (fault.delay_s !== undefined) parts.push(`delay ${fault.delay_s} s`);
  if (fault.delay !== undefined) parts.push(`delay ${JSON.stringify(fault.delay)} s`);
  if (fault.retry_after !== undefined) parts.push(`Retry-After ${fault.retry_after}`);
  if (fault.nth !== undefined) parts.push(placeOf(fault));
  if (fault.times !== undefined) parts.push(`${fault.times}×`);
  if (fault.probability !== undefined) parts.push(`with probability ${fault.probability}`);
  if (fault.for_s !== undefined) parts.push(`for ${fault.for_s} s`);
  return parts.join(", ");
}
