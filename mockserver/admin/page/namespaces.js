// The namespaces of the mock: which there are, going from one to another, deleting one.

import { NAMESPACE, ROOT_URL, attempt } from "./api.js";
import { $, confirmed, element, openDialog, setText, visible } from "./dom.js";

export const nameOf = (name) => (name === "" ? "default" : name);
export const pageOf = (name) => (name === "" ? `${ROOT_URL}/__admin/` : `${ROOT_URL}/__ns/${encodeURIComponent(name)}/__admin/`);

export function prepareNamespaces() {
  setText($("namespace-name"), visible(nameOf(NAMESPACE)));
  document.title = NAMESPACE === "" ? "Mock server" : `${visible(NAMESPACE)} · Mock server`;
  $("namespaces-open").addEventListener("click", async () => {
    if (await list()) openDialog($("namespaces-dialog"));
  });
  $("namespace-form").addEventListener("submit", (event) => {
    event.preventDefault();
    location.assign(pageOf($("namespace-new").value.trim()));
  });
}

export function requestsIn({ requests }) {
  return `${requests} ${requests === 1 ? "request" : "requests"}`;
}

async function list() {
  const found = await attempt("GET", "namespaces");
  if (found === undefined) return false;
  $("namespace-list").replaceChildren(...found.items.map(item));
  return true;
}

function item(namespace) {
  const { name } = namespace;
  const isHere = name === NAMESPACE;
  const link = element("a", { href: pageOf(name) }, visible(nameOf(name)));
  if (isHere) link.setAttribute("aria-current", "page");
  const requests = requestsIn(namespace);
  const faults = `${namespace.faults} ${namespace.faults === 1 ? "fault" : "faults"}`;
  const made = element("li", {}, link, element("span", { class: "hint" }, `${requests}, ${faults}`));
  if (name !== "" && !isHere) {
    const button = element("button", { type: "button", class: "small danger", "aria-label": `Delete ${visible(name)}` }, "Delete");
    button.addEventListener("click", () => remove(name));
    made.append(button);
  }
  return made;
}

async function remove(name) {
  const text = "Its runs, journal, faults and clock are gone then.";
  if (!(await confirmed(`Delete the namespace ${visible(name)}?`, text, "Delete"))) return;
  await attempt("DELETE", `namespaces/${encodeURIComponent(name)}`);
  await list();
}
