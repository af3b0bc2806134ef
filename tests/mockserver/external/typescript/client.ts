// Creates, reads, changes, retries and lists runs through types generated from the document, and tells what it saw.
// What the types must refuse stands under @ts-expect-error: if they took it, it would not compile.
// It is called with the server's URL, and a token.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Run = components["schemas"]["RunResponse"];

const [, , baseUrl = "", token = ""] = process.argv;
const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
const workflow_id = "10000000-0000-4000-8000-000000000001";

function got<Data, Problem>(answer: { data?: Data; error?: Problem; response: Response }): Data {
  if (answer.data === undefined) {
    throw new Error(`${answer.response.status}: ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

const bulk = got(
  await api.POST("/v1/runs/bulk", {
    body: { workflow_id, count: 3, input_values: { patient: { id: 4711 } }, pool_ids: null },
  }),
);
const made: Run = got(await api.POST("/v1/runs", { body: { workflow_id, session_alias: "lookup" } }));
const runPath = { path: { run_id: made.id } };

const read: Run = got(await api.GET("/v1/runs/{run_id}", { params: runPath }));
const ended = got(
  await api.PATCH("/v1/runs/{run_id}", {
    params: runPath,
    body: { status: "success", output_data: { rows: [1, 2.5] } },
  }),
);
const retried = got(await api.POST("/v1/runs/{run_id}/retry", { params: runPath, body: { input_values: { a: 1 } } }));
const page = got(
  await api.GET("/v1/runs", {
    params: { query: { limit: 2, sort_mode: "created_at_desc", fields: ["error", "session_alias"] } },
  }),
);
const statuses: Run["status"][] = page.items.map((run) => run.status);

const deleted = await api.DELETE("/v1/runs/{run_id}", { params: runPath });
const gone = await api.GET("/v1/runs/{run_id}", { params: runPath });
const refused = await api.POST("/v1/runs/bulk", { body: { workflow_id, count: 1001 } });
const violations = refused.response.status === 422 ? refused.error : undefined;

async function _whatTheTypesRefuse() {
  // @ts-expect-error  count is a number
  await api.POST("/v1/runs/bulk", { body: { workflow_id, count: "3" } });
  // @ts-expect-error  workflow_id is required
  await api.POST("/v1/runs", { body: {} });
  // @ts-expect-error  there is no such status
  await api.PATCH("/v1/runs/{run_id}", { params: runPath, body: { status: "done" } });
  // @ts-expect-error  there is no such operation
  await api.PUT("/v1/runs/{run_id}", { params: runPath });
  // @ts-expect-error  there is no such field
  await api.GET("/v1/runs", { params: { query: { fields: ["secrets"] } } });
  // @ts-expect-error  machine_id may be null
  read.machine_id.length;
}

console.log(
  JSON.stringify({
    bulk,
    made,
    read,
    ended,
    retried,
    page,
    statuses,
    deleted: deleted.response.status,
    gone: { status: gone.response.status, error: gone.error },
    violations,
  }),
);
