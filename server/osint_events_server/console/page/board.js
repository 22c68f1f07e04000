/** What is known of investigations and their tasks, from their events. No I/O. */

import { classify } from "./contract/index.js";

const MAX_TASKS = 200;

/** What a kind says about who it is about. Kinds are open: any other one changes no state. */
const STATES = new Map([
  ["investigation_started", "running"],
  ["investigation_paused", "paused"],
  ["investigation_resumed", "running"],
  ["investigation_stopped", "stopped"],
  ["investigation_completed", "completed"],
  ["task_started", "running"],
  ["task_completed", "completed"],
  ["task_failed", "failed"],
]);

/**
 * @typedef {object} Task
 * @property {string} id
 * @property {string} name
 * @property {string} state running, completed, failed, or what a `status` says
 * @property {number | null} progress 0 to 1; null: nobody said
 * @property {string} message
 *
 * @typedef {object} Investigation
 * @property {string} id
 * @property {string} state as a task's; empty: nobody said
 * @property {number | null} progress 0 to 1; null: nobody said
 * @property {string} message
 * @property {number} events how many came
 * @property {Map<string, Task>} tasks by their ids, in the order in which they were first seen
 * @property {number} dropped tasks that are not kept any more
 */

/** @param {string} id @returns {Investigation} */
export function investigation(id) {
  return { id, state: "", progress: null, message: "", events: 0, tasks: new Map(), dropped: 0 };
}

/**
 * Takes the payload of an event, whoever wrote it: a field of the wrong type is left alone.
 * @param {Investigation} board
 * @param {{ [field: string]: any }} data
 */
export function apply(board, data) {
  board.events += 1;
  const kind = classify(data).kind ?? "";
  const isOfTask = typeof data.task_id === "string" && data.task_id !== "" && !kind.startsWith("investigation_");
  if (!isOfTask) {
    if (kind === "investigation_started") restart(board);
    change(board, kind, data);
    return;
  }
  const task = board.tasks.get(data.task_id) ?? added(board, data.task_id);
  if (typeof data.name === "string" && data.name !== "") task.name = data.name;
  if (kind === "task_started") task.progress = 0;
  change(task, kind, data);
}

/**
 * The share of the work that is done, from 0 to 1: what the investigation says, else the mean of its tasks.
 * @param {Investigation} board
 * @returns {number | null} null: nobody said
 */
export function share(board) {
  if (board.state === "completed") return 1;
  if (board.progress !== null) return board.progress;
  const known = [...board.tasks.values()].map((task) => (task.state === "failed" ? 1 : task.progress));
  const said = known.filter((progress) => progress !== null);
  return said.length === 0 ? null : said.reduce((sum, one) => sum + one, 0) / known.length;
}

/** @param {Investigation} board */
function restart(board) {
  board.progress = null;
  board.tasks.clear();
  board.dropped = 0;
}

/** @param {Investigation} board @param {string} id @returns {Task} */
function added(board, id) {
  if (board.tasks.size === MAX_TASKS) {
    const ended = [...board.tasks.values()].find(({ state }) => state === "completed" || state === "failed");
    board.tasks.delete(ended?.id ?? [...board.tasks.keys()][0]);
    board.dropped += 1;
  }
  const task = { id, name: id, state: "", progress: null, message: "" };
  board.tasks.set(id, task);
  return task;
}

/** @param {Task | Investigation} one @param {string} kind @param {{ [field: string]: any }} data */
function change(one, kind, data) {
  if (isShare(data.progress)) one.progress = data.progress;
  if (typeof data.message === "string") one.message = data.message;
  if (STATES.has(kind)) one.state = /** @type {string} */ (STATES.get(kind));
  else if (typeof data.status === "string" && data.status !== "") one.state = data.status;
  if (one.state === "completed") one.progress = 1;
}

/** @param {unknown} value */
function isShare(value) {
  return typeof value === "number" && value >= 0 && value <= 1;
}
