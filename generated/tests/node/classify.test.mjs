// The classifier of the npm package, held against the vectors that every language uses.
// OSINT_EVENTS_PACKAGE: the package's directory; OSINT_EVENTS_VECTORS: classify.json.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const directory = pathToFileURL(`${process.env.OSINT_EVENTS_PACKAGE}/`);
const contract = await import(new URL("index.js", directory));
const { vectors } = JSON.parse(readFileSync(process.env.OSINT_EVENTS_VECTORS, "utf8"));

for (const { name, data, kind, rule } of vectors) {
  test(name, () => assert.deepEqual(contract.classify(data), { kind, rule }));
}

test("a field that is undefined is absent, as it is once the payload is sent", () => {
  const data = { status: "running", message: "started", task_id: undefined };
  assert.equal(contract.classify(data).rule, "LEG-3");
});

test("a guard tells its type from the others", () => {
  const subscribe = { type: "subscribe_investigation", investigation_id: "1234" };
  assert.equal(contract.isSubscribeInvestigation(subscribe), true);
  assert.equal(contract.isSubscriptionConfirmed(subscribe), false);
  assert.equal(contract.isSubscribeInvestigation({ ...subscribe, unknown: 1 }), true);
});

test("a guard refuses a field that is missing or of another type", () => {
  const completed = { type: "task_completed", task_id: "t", progress: 1 };
  assert.equal(contract.isTaskCompleted(completed), true);
  assert.equal(contract.isTaskCompleted({ type: "task_completed" }), false);
  assert.equal(contract.isTaskCompleted({ ...completed, progress: "1" }), false);
  assert.equal(contract.isTaskCompleted({ ...completed, task_id: null }), false);
});

test("a guard refuses what is no object", () => {
  for (const value of [null, undefined, 1, "task_completed", [], [{ type: "task_completed", task_id: "t" }]]) {
    assert.equal(contract.isTaskCompleted(value), false);
  }
});
