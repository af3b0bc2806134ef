// The control API: where it is, the token that it may ask for, and requests to it.

import { $, openDialog, toast } from "./dom.js";

const TOKEN_KEY = "mock-admin-token";

/** Of the control API of this namespace, with a slash at its end. */
export const ADMIN_URL = new URL(".", location.href.split("#")[0].split("?")[0]);
/** Of the API that is mocked, in this namespace, without a slash at its end. */
export const API_URL = new URL("..", ADMIN_URL).href.replace(/\/$/, "");

const [root, namespacePart] = API_URL.split("/__ns/");
/** Of the mock, without a namespace and without a slash at its end. */
export const ROOT_URL = root;
export const NAMESPACE = namespacePart === undefined ? "" : decodeURIComponent(namespacePart);

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let token = sessionStorage.getItem(TOKEN_KEY);

export const hasToken = () => token !== null;

export function forgetToken() {
  token = null;
  sessionStorage.removeItem(TOKEN_KEY);
}

let asking = null;

/** Asks for the token once, however many requests were refused for want of it. */
export function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = $("token-dialog");
    $("token-wrong").hidden = token === null;
    $("token-input").value = "";
    openDialog(dialog);
    const keepOpen = (event) => event.preventDefault();
    dialog.addEventListener("cancel", keepOpen);
    $("token-form").onsubmit = (event) => {
      event.preventDefault();
      token = $("token-input").value;
      $("token-input").value = "";
      sessionStorage.setItem(TOKEN_KEY, token);
      dialog.removeEventListener("cancel", keepOpen);
      dialog.close();
      asking = null;
      resolve();
    };
  });
  return asking;
}

export function send(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  return fetch(new URL(path, ADMIN_URL), { ...options, headers, cache: "no-store", credentials: "omit" });
}

/** The JSON of the answer, or null. Throws ApiError. */
export async function call(method, path, body) {
  for (;;) {
    const tokenSent = token;
    const options = { method };
    if (body !== undefined) {
      options.body = JSON.stringify(body);
      options.headers = { "Content-Type": "application/json" };
    }
    let answer;
    try {
      answer = await send(path, options);
    } catch {
      throw new ApiError(0, "The mock cannot be reached; is it still running?");
    }
    const text = await answer.text();
    if (answer.status === 401) {
      if (token === tokenSent) await askForToken();
      continue;
    }
    const value = text === "" ? null : parse(text);
    if (!answer.ok) throw new ApiError(answer.status, detailOf(value) ?? `The mock answered ${answer.status}`);
    return value;
  }
}

/** As `call`, but what goes wrong is shown to the user; then it resolves to undefined. */
export async function attempt(method, path, body) {
  try {
    return await call(method, path, body);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(error.message, "error");
    return undefined;
  }
}

/** JSON in which numbers stay as they were written, where the browser can do that. */
function parse(text) {
  return JSON.parse(text, (key, value, context) => {
    const exact = typeof value === "number" && context?.source !== undefined && JSON.rawJSON !== undefined;
    return exact && String(value) !== context.source && !Number.isSafeInteger(value)
      ? JSON.rawJSON(context.source)
      : value;
  });
}

function detailOf(value) {
  const detail = value?.detail;
  if (typeof detail === "string") return detail;
  if (!Array.isArray(detail)) return undefined;
  return detail.map((each) => `${(each.loc ?? []).join(".")}: ${each.msg}`).join("; ");
}
