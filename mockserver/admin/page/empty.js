// What to do next where there is nothing to see.

import { API_URL, NAMESPACE } from "./api.js";
import { copy, element, visible } from "./dom.js";
import { nameOf, pageOf, requestsIn } from "./namespaces.js";

const MOST_NAMESPACES = 3;

const FIRST_RUNS = `curl -sS ${API_URL}/v1/runs/bulk \\
  -H 'Authorization: Bearer test' -H 'Content-Type: application/json' \\
  --data-raw '{"workflow_id": "10000000-0000-4000-8000-000000000001", "count": 5}'`;

function offer(text, what) {
  return [
    element("pre", { class: "command", tabIndex: 0, "aria-label": what }, text),
    element("button", { type: "button", onclick: () => copy(text, `the ${what}`) }, `Copy ${what}`),
  ];
}

export function emptyRuns(place, isFiltered) {
  if (isFiltered) place.replaceChildren(element("p", {}, "No run matches the filter."));
  else place.replaceChildren(element("p", {}, element("b", {}, "No runs yet."), " Create the first ones, and watch them here:"), ...offer(FIRST_RUNS, "command"));
}

export function emptyTraffic(place, isFiltered, journalIsOff) {
  if (journalIsOff) place.replaceChildren(element("p", {}, "The journal is off: start the mock without --journal-bytes 0 to see requests."));
  else if (isFiltered) place.replaceChildren(element("p", {}, "No request matches the filter."));
  else {
    place.replaceChildren(
      element("p", {}, element("b", {}, "No requests yet."), " Point your client at this base URL; each request shows here as it is answered:"),
      ...offer(API_URL, "URL"),
    );
  }
}

/** Names the namespaces that have requests, each as a link to its page. */
export function drawElsewhere(place, namespaces) {
  const others = namespaces.filter((each) => each.name !== NAMESPACE && each.requests > 0).sort((a, b) => b.requests - a.requests);
  const shown = others.slice(0, MOST_NAMESPACES);
  const text = shown.map((each) => `${requestsIn(each)} ${each.name}`).join();
  place.hidden = others.length === 0;
  // Drawn only when it has changed: a link that is replaced loses the focus.
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  const parts = shown.flatMap((each, index) => [
    index === 0 ? "" : ", ",
    `${requestsIn(each)} in `,
    element("a", { href: pageOf(each.name) }, visible(nameOf(each.name))),
  ]);
  place.replaceChildren("Other namespaces have requests: ", ...parts, others.length > shown.length ? ", …" : "");
}
