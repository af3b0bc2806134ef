// What to do next where there is nothing to see.

import { API_URL } from "./api.js";
import { copy, element } from "./dom.js";

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
