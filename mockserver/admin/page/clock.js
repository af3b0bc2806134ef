// The clock of the namespace: shown as it ticks, frozen, advanced, scaled.

import { attempt, call } from "./api.js";
import { $, setText, toast } from "./dom.js";

const TICK_MS = 100;

export class ClockPanel {
  constructor() {
    this.last = null;
    $("clock-freeze").addEventListener("click", () => this.change(this.last?.frozen ? { resume: true } : { freeze: true }));
    for (const button of document.querySelectorAll("[data-advance]")) {
      button.addEventListener("click", async () => {
        if (await this.change({ advance: button.dataset.advance })) toast(`The clock was moved forward ${button.textContent.replace("+", "")}`);
      });
    }
    for (const button of document.querySelectorAll("[data-scale]")) {
      button.addEventListener("click", () => this.change({ scale: Number(button.dataset.scale) }));
    }
    setInterval(() => this.tick(), TICK_MS);
  }

  async load() {
    this.set(await call("GET", "clock"));
  }

  async change(body) {
    const clock = await attempt("POST", "clock", body);
    if (clock !== undefined) this.set(clock);
    return clock !== undefined;
  }

  set(clock) {
    this.last = { ...clock, moment: Date.parse(clock.now), readAt: performance.now() };
    $("clock-freeze").classList.toggle("on", clock.frozen);
    setText($("clock-freeze"), clock.frozen ? "Resume" : "Freeze");
    const speed = `×${clock.scale}`;
    setText($("clock-state"), clock.frozen ? "Frozen" : clock.scale === 1 ? "Running" : `Running ${speed}`);
    $("clock").dataset.state = clock.frozen ? "frozen" : clock.scale === 1 ? "live" : "scaled";
    for (const button of document.querySelectorAll("[data-scale]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.scale) === clock.scale));
    }
    this.tick();
  }

  /** The moment of the clock in milliseconds, from the last known one. Whatever the scale, moments pass as real time. */
  now() {
    if (this.last === null) return null;
    const passed = this.last.frozen ? 0 : performance.now() - this.last.readAt;
    return this.last.moment + passed;
  }

  tick() {
    const now = this.now();
    if (now === null) return;
    const text = new Date(now).toISOString();
    setText($("clock-time"), text.slice(11, 19));
    $("clock-time").dateTime = text;
    setText($("clock-date"), `${text.slice(0, 10)} UTC`);
  }
}
