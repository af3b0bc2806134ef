// The server-sent events of the control API. Read with fetch, since EventSource cannot send the token.

import { askForToken, send } from "./api.js";

const SHORTEST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
// The server sends a comment every 15 seconds: when nothing at all comes for three of them, the connection is dead.
const SILENCE_MS = 45_000;

/**
 * Reads events for as long as the page is open. `onState` is told "live", "token", or "waiting" with the milliseconds
 * until the next attempt and the reason; `onEvent` gets the type and the content of each event.
 */
export async function watch({ onOpen, onEvent, onState }) {
  let wait = SHORTEST_WAIT_MS;
  for (;;) {
    let reason = "The mock closed the connection";
    const controller = new AbortController();
    try {
      const answer = await send("events", { headers: { Accept: "text/event-stream" }, signal: controller.signal });
      if (answer.status === 401) {
        await answer.body?.cancel();
        onState("token");
        await askForToken();
        continue;
      }
      if (answer.ok) {
        onState("live");
        onOpen();
        wait = SHORTEST_WAIT_MS;
        await readEvents(answer.body, controller, onEvent);
      } else {
        reason = `The mock answered ${answer.status}`;
      }
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
      reason = "The mock cannot be reached";
    }
    const jittered = Math.round(wait * (0.75 + Math.random() / 2));
    onState("waiting", jittered, reason);
    await new Promise((resolve) => setTimeout(resolve, jittered));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

async function readEvents(body, controller, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let silence = setTimeout(() => controller.abort(), SILENCE_MS);
  const parser = new EventParser(onEvent);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => controller.abort(), SILENCE_MS);
      parser.take(value);
    }
  } finally {
    clearTimeout(silence);
  }
}

/** The part of the format that the mock sends: fields `event` and `data`, comments, lines that end in LF or CRLF. */
class EventParser {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.rest = "";
    this.type = "message";
    this.lines = [];
  }

  take(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop();
    for (const line of lines) this.takeLine(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  takeLine(line) {
    if (line === "") {
      if (this.lines.length > 0) this.onEvent(this.type, JSON.parse(this.lines.join("\n")));
      this.type = "message";
      this.lines = [];
    } else if (line.startsWith("event:")) {
      this.type = line.slice(6).trim();
    } else if (line.startsWith("data:")) {
      this.lines.push(line.slice(5));
    }
  }
}
