// The statuses of a run, in the order of a life, and what can be done to one that lives.

export const STATUSES = ["scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled"];
const LIVE = new Set(["scheduling", "running", "running_checks"]);

/** The operation of the control API, its name on a button, and what it does. */
export const ACTIONS = [
  ["advance", "Advance", "Take it to its next status"],
  ["finish", "Finish", "End it in success"],
  ["fail", "Fail", "End it in task_failed"],
];

export const isLive = (run) => LIVE.has(run.status);
