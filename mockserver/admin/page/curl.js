// A request of the journal as a command for a POSIX shell. The token stands in it as $TOKEN.

import { ROOT_URL } from "./api.js";

// What curl sends by itself, or what belongs to one connection; and what a browser adds to say who it is.
const LEFT_OUT =
  /^(host|connection|content-length|transfer-encoding|accept-encoding|user-agent|expect|keep-alive|te|trailer|upgrade|authorization|origin|referer|sec-.*|priority|dnt)$/;
const MASK = "**********";
const PRINTABLE = /^[\x20-\x7e]*$/;
const SAFE_IN_SINGLE_QUOTES = /^[\x09\x0a\x20-\x7e\u00a1-\u00ac\u00ae-\u05ff\u3040-\ud7ff]*$/;
const NEEDS_NO_QUOTES = /^[A-Za-z0-9_./:@%+=,-]+$/;

/** The command, and what a reader should know of it. */
export function curlOf(request) {
  const notes = [];
  const words = ["curl -sS"];
  const { method, headers } = request;
  const text = textOf(request);
  const hasBody = text !== "";
  if (method === "HEAD") words.push("--head");
  else if (method !== (hasBody ? "POST" : "GET")) words.push(`-X ${quoted(method)}`);
  if (/(^|\/)\.{1,2}(\/|$)/.test(request.path)) words.push("--path-as-is");
  words.push(quoted(urlOf(request)));

  const lines = [words.join(" ")];
  if (headers.authorization !== undefined) {
    const scheme = /^([A-Za-z][A-Za-z0-9-]*) /.exec(headers.authorization)?.[1];
    lines.push(`-H "Authorization: ${scheme === undefined ? "" : `${scheme} `}$TOKEN"`);
  }
  const masked = [];
  for (const [name, value] of Object.entries(headers)) {
    if (LEFT_OUT.test(name) || (name === "accept" && value === "*/*")) continue;
    if (value.includes(MASK)) masked.push(name);
    else lines.push(`-H ${quotedBytes(value === "" ? `${name};` : `${name}: ${value}`)}`);
  }
  if (hasBody) {
    if (headers["content-type"] === undefined) lines.push("-H 'Content-Type:'");
    if (text.includes("\u0000") || text.includes("\ufffd")) notes.push("The body is binary: a command cannot repeat it.");
    lines.push(`--data-raw ${quoted(text.replaceAll("\u0000", "\ufffd"))}`);
    if (text.includes(MASK)) notes.push(`Sensitive values of the body are masked: put yours in place of ${MASK}.`);
  }
  if (masked.length > 0) notes.push(`Left out, since its value is masked: ${masked.join(", ")}.`);
  if (Object.values(request.query).flat().includes(MASK)) notes.push("Sensitive values of the query are masked.");
  return { command: lines.join(" \\\n  "), notes };
}

/** The body as it was sent, or the same JSON. The journal shows both `"x"` and x as x: their lengths differ. */
function textOf({ body, headers }) {
  const length = Number(headers["content-length"] ?? 0);
  const json = JSON.stringify(body);
  if (body === null) return length === json.length ? json : "";
  return typeof body === "string" && length !== new TextEncoder().encode(json).length ? body : json;
}

function urlOf(request) {
  const path = request.path.split("/").map(percentEncoded).join("/");
  const pairs = Object.entries(request.query).flatMap(([name, value]) =>
    [value].flat().map((each) => `${percentEncoded(name)}=${percentEncoded(each)}`),
  );
  return ROOT_URL + path + (pairs.length > 0 ? `?${pairs.join("&")}` : "");
}

function percentEncoded(text) {
  return encodeURIComponent(text.toWellFormed()).replace(/['()!*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Text for a shell; it is sent as UTF-8. */
export function quoted(text) {
  if (NEEDS_NO_QUOTES.test(text)) return text;
  if (SAFE_IN_SINGLE_QUOTES.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  return dollarQuoted(new TextEncoder().encode(text));
}

/** A header for a shell: each character stands for one byte. */
function quotedBytes(text) {
  return PRINTABLE.test(text) ? quoted(text) : dollarQuoted(Array.from(text, (each) => each.charCodeAt(0) & 0xff));
}

function dollarQuoted(bytes) {
  let made = "";
  for (const byte of bytes) {
    const each = String.fromCharCode(byte);
    if (each === "'" || each === "\\") made += `\\${each}`;
    else if (byte === 0x0a) made += "\\n";
    else if (byte < 0x20 || byte > 0x7e) made += `\\${byte.toString(8).padStart(3, "0")}`;
    else made += each;
  }
  return `$'${made}'`;
}
