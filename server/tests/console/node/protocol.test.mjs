// The console's client side of the protocol, without a browser. CONSOLE_PAGE: where its modules are.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const page = (name) => import(new URL(name, pathToFileURL(`${process.env.CONSOLE_PAGE}/`)));
const { Session } = await page("session.js");
const { Backoff } = await page("reconnect.js");
const { inspect, inspectSent } = await page("inspect.js");
const { investigation, apply, share } = await page("board.js");

const ALL = ["heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors"];
const WELCOME = {
  type: "welcome",
  protocol: 1,
  connection_id: "c",
  features: ALL,
  heartbeat: { interval_ms: 100, timeout_ms: 50 },
};

/** A session and what came of it: messages that it sends, and items. */
class Scene {
  constructor(features = ALL) {
    this.session = new Session({ name: "test" });
    this.features = features;
    this.sent = [];
    this.items = [];
  }

  take(commands) {
    for (const command of commands) {
      if (command.is === "send") this.sent.push(command.message);
      else this.items.push(command);
    }
    return this;
  }

  connect(...subscribed) {
    this.take(this.session.connected(0, { features: this.features, token: null }));
    if (this.features.length > 0) this.hear(WELCOME);
    for (const id of subscribed) {
      this.take(this.session.subscribe(id, null));
      this.confirm();
    }
    return this;
  }

  /** Answers the last message. */
  confirm(fields = { seq: 10, token: "t10", epoch: "e" }) {
    const { investigation_id, ref } = this.sent.at(-1);
    return this.hear({ type: "subscription_confirmed", investigation_id, ...(ref && { ref }), ...fields });
  }

  update(seq, prev, fields = {}) {
    const data = { type: "note", n: seq };
    return this.hear({ type: "investigation_update", investigation_id: "x", seq, prev, token: `t${seq}`, data, ...fields });
  }

  hear(message, now = 0) {
    const inspected = inspect(JSON.stringify(message), this.session.features, this.session.isGreeted);
    assert.equal(inspected.verdict, "valid", JSON.stringify(inspected));
    return this.take(this.session.receive(inspected.message, now));
  }

  /** What was handed over: numbers of events, reasons of gaps. */
  get got() {
    return this.items.map((item) => (item.is === "event" ? item.data.n : item.is === "gap" ? item.reason : item.is));
  }
}

test("hello comes first, with every subscribe behind it", () => {
  const scene = new Scene().connect("x", "y");
  scene.session.disconnected();
  scene.sent = [];
  scene.take(scene.session.connected(0, { features: ALL, token: "secret" }));
  assert.deepEqual(scene.sent.map(({ type }) => type), ["hello", "subscribe_investigation", "subscribe_investigation"]);
  assert.deepEqual(scene.sent[0].auth, { token: "secret" });
  assert.deepEqual(scene.sent.map(({ replay_token: token }) => token), [undefined, "t10", "t10"]);
  for (const message of scene.sent) assert.equal(inspectSent(JSON.stringify(message), new Set()).verdict, "valid");
});

test("a client of part 1 says no hello, and sends no field of part 2", () => {
  const scene = new Scene([]).connect("x");
  assert.deepEqual(scene.sent, [{ type: "subscribe_investigation", investigation_id: "x" }]);
  scene.session.disconnected();
  scene.take(scene.session.connected(0, { features: [], token: null })).confirm({});
  assert.deepEqual(scene.got, ["not_replayed"]);
});

test("a server of part 1 is understood without a welcome, and what belongs to part 2 is ignored", () => {
  const scene = new Scene();
  scene.take(scene.session.connected(0, { features: ALL, token: null }));
  scene.take(scene.session.subscribe("x", null)).confirm();
  scene.update(12, 11);
  assert.deepEqual(scene.got, [12]);
  assert.equal(scene.session.subscriptions.get("x").last, null);
  const late = inspect(JSON.stringify(WELCOME), scene.session.features, true);
  scene.take(scene.session.receive(late.message, 0));
  assert.equal(scene.session.features.size, 0);
});

test("a duplicate is dropped, and the position moves on", () => {
  const scene = new Scene().connect("x").update(11, 10).update(11, 10).update(14, 11);
  assert.deepEqual(scene.got, [11, 14]);
  assert.deepEqual(scene.session.subscriptions.get("x").token, "t14");
});

test("a proven loss is recovered from the position before it, in order", () => {
  const scene = new Scene().connect("x").update(11, 10).update(14, 13);
  assert.deepEqual(scene.got, [11]);
  assert.equal(scene.sent.at(-1).replay_token, "t11");
  scene.update(15, 14);
  scene.confirm({ seq: 11, token: "t11", epoch: "e", replay: { status: "complete", count: 3 } });
  assert.ok(scene.session.subscriptions.get("x").isReplaying);
  for (const [seq, prev] of [[13, 11], [14, 13], [15, 14]]) scene.update(seq, prev, { replayed: true });
  scene.hear({ type: "replay_complete", investigation_id: "x", seq: 15, token: "t15" });
  assert.deepEqual(scene.got, [11, 13, 14, 15]);
  assert.ok(!scene.session.subscriptions.get("x").isReplaying);
});

test("a loss that cannot be recovered is told before what came after it", () => {
  const scene = new Scene().connect("x").update(11, 10).update(14, 13);
  scene.confirm({ seq: 14, token: "t14", epoch: "e", replay: { status: "failed", reason: "expired" } });
  assert.deepEqual(scene.got, [11, "expired", 14]);
  assert.deepEqual([scene.items[1].after, scene.items[1].until, scene.items[1].anew], [11, 13, false]);
});

test("a replay that brings less than it said is a loss", () => {
  const scene = new Scene().connect("x");
  scene.session.disconnected();
  scene.connect().confirm({ seq: 10, token: "t10", epoch: "e", replay: { status: "complete", count: 2 } });
  scene.update(11, 10, { replayed: true });
  scene.hear({ type: "replay_complete", investigation_id: "x", seq: 12, token: "t12" });
  assert.deepEqual(scene.got, [11, "lost"]);
});

for (const reason of ["epoch_changed", "invalid", "expired"]) {
  test(`another epoch means that the history is gone, whatever the reason: ${reason}`, () => {
    const scene = new Scene().connect("x");
    scene.session.disconnected();
    scene.connect().confirm({ seq: 0, token: "u0", epoch: "f", replay: { status: "failed", reason } });
    assert.deepEqual(scene.got, [reason]);
    assert.equal(scene.items[0].anew, true);
    scene.update(1, 0);
    assert.deepEqual(scene.got, [reason, 1]);
  });
}

test("the server's word of a gap is followed up with the token, unless the epoch changed", () => {
  const scene = new Scene().connect("x");
  scene.hear({ type: "gap", investigation_id: "x", reason: "unavailable", epoch: "e", seq: 20, token: "t20" });
  assert.equal(scene.sent.at(-1).replay_token, "t10");
  scene.confirm({ seq: 10, token: "t10", epoch: "e", replay: { status: "complete", count: 0 } });
  scene.hear({ type: "replay_complete", investigation_id: "x", seq: 20, token: "t20" });
  assert.deepEqual(scene.got, []);
  scene.hear({ type: "gap", investigation_id: "x", reason: "epoch_changed", epoch: "f", seq: 0, token: "u0" });
  assert.deepEqual(scene.got, ["epoch_changed"]);
  assert.equal(scene.session.subscriptions.get("x").last, 0);
});

test("a position never goes back", () => {
  const scene = new Scene().connect("x");
  for (const seq of [30, 20]) scene.hear({ type: "position", investigation_id: "x", seq, token: `t${seq}` });
  assert.equal(scene.session.subscriptions.get("x").token, "t30");
});

test("a ping is answered; a silent server is asked once, then given up", () => {
  const scene = new Scene().connect();
  scene.hear({ type: "ping", id: "s1" });
  assert.deepEqual(scene.sent.at(-1), { type: "pong", id: "s1" });
  assert.equal(scene.session.deadline(), 100);
  assert.deepEqual(scene.session.tick(99), []);
  scene.take(scene.session.tick(100));
  assert.equal(scene.sent.at(-1).type, "ping");
  assert.equal(scene.session.deadline(), 150);
  assert.deepEqual(scene.session.tick(150), [{ is: "give_up" }]);
  scene.session.heard(140);
  assert.deepEqual(scene.session.tick(150), []);
});

test("without the heartbeat nothing is ever due", () => {
  const scene = new Scene(["replay"]);
  scene.take(scene.session.connected(0, { features: scene.features, token: null }));
  scene.hear({ ...WELCOME, features: ["replay"] });
  assert.equal(scene.session.deadline(), Infinity);
});

test("what could not be carried out for now is sent again when the server says", () => {
  const scene = new Scene(["errors"]);
  scene.take(scene.session.connected(0, { features: scene.features, token: null }));
  scene.hear({ ...WELCOME, features: ["errors"] });
  scene.take(scene.session.subscribe("x", null));
  const { ref } = scene.sent.at(-1);
  const error = { type: "error", code: "rate_limited", message: "later", temporary: true, retry_after_ms: 70, ref };
  scene.hear(error, 10);
  assert.equal(scene.session.deadline(), 80);
  assert.deepEqual(scene.session.tick(79), []);
  scene.take(scene.session.tick(80)).confirm({});
  assert.ok(scene.session.subscriptions.get("x").isConfirmed);
  assert.deepEqual(scene.got, []);
});

test("a refused subscribe is told and forgotten", () => {
  const scene = new Scene().connect();
  scene.take(scene.session.subscribe("x", null));
  const { ref } = scene.sent.at(-1);
  scene.hear({ type: "error", code: "forbidden", message: "no", temporary: false, ref });
  assert.deepEqual(scene.got, ["refused"]);
  assert.equal(scene.session.subscriptions.size, 0);
});

test("after an unsubscribe nothing of the investigation is handed over", () => {
  const scene = new Scene().connect("x");
  scene.take(scene.session.unsubscribe("x"));
  assert.equal(scene.sent.at(-1).type, "unsubscribe_investigation");
  const core = new Scene([]).connect("x");
  core.take(core.session.unsubscribe("x"));
  assert.equal(core.sent.length, 1);
  core.hear({ type: "investigation_update", investigation_id: "x", data: { n: 1 } });
  core.hear({ type: "investigation_update", investigation_id: "broadcast", data: { n: 2 } });
  assert.deepEqual(core.got, [2]);
});

test("a client comes back with full jitter from 0.5 s to 20 s (CLT-4)", () => {
  const most = new Backoff(() => 1);
  const ceilings = Array.from({ length: 8 }, () => most.delay());
  assert.deepEqual(ceilings, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
  most.lasted(19_999);
  assert.equal(most.delay(), 20_000);
  most.lasted(20_000);
  assert.equal(most.delay(), 500);
  assert.equal(new Backoff(() => 0.25).delay(), 125);
});

test("a message is held against the schema of what the connection negotiated", () => {
  const update = { type: "investigation_update", investigation_id: "x", seq: "1", data: { investigation_id: "y", event: "e" } };
  const core = inspect(JSON.stringify(update), new Set(), false);
  assert.deepEqual([core.verdict, core.schema, core.unused], ["valid", "investigation_update", ["seq"]]);
  assert.deepEqual([core.payload.kind, core.payload.rule], ["e", "LEG-2"]);
  assert.deepEqual(core.payload.failures.map(({ keyword }) => keyword), ["EVT-2"]);
  const negotiated = inspect(JSON.stringify(update), new Set(["hello", "replay"]), true);
  assert.deepEqual(negotiated.failures.map(({ path, keyword }) => [path, keyword]), [["/seq", "type"]]);
  for (const type of ["welcome", "gap", "a_type_of_tomorrow", "__proto__", "constructor"]) {
    assert.equal(inspect(JSON.stringify({ type }), new Set(), false).verdict, "ignored", type);
  }
});

test("tasks and investigations are what their events say, whoever wrote them", () => {
  const board = investigation("x");
  apply(board, { status: "running", message: "starting" });
  apply(board, { event: "task_started", task_id: "a", name: "A" });
  apply(board, { type: "task_progress", task_id: "a", progress: 0.5 });
  apply(board, { type: "task_progress", task_id: "a", progress: 7, name: 5, message: {}, status: [] });
  apply(board, { type: "task_failed", task_id: "b" });
  assert.equal(board.state, "running");
  assert.deepEqual({ ...board.tasks.get("a") }, { id: "a", name: "A", state: "running", progress: 0.5, message: "" });
  assert.equal(share(board), 0.75);
  apply(board, { type: "investigation_completed" });
  assert.equal(share(board), 1);
  for (let n = 0; n < 250; n += 1) apply(board, { type: "task_started", task_id: `t${n}` });
  assert.equal(board.tasks.size, 200);
  apply(board, { type: "investigation_started" });
  assert.deepEqual([board.tasks.size, share(board)], [0, null]);
});
