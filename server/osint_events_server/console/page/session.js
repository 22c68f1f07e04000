/**
 * The protocol's client side, over all connections of a client: messages in, commands out.
 *
 * No I/O, and no clock of its own: times are given, in milliseconds of one monotonic clock. The rules are those of
 * the Python client, osint_events_client/session.py.
 */

import { Subscription } from "./subscription.js";

const PROTOCOL = 1;
/** Before a message is sent again that could not be carried out, where the server says no time. */
const RETRY_AFTER_MS = 1000;

/**
 * @typedef {import("./subscription.js").Message} Message
 * @typedef {import("./subscription.js").Event} Event
 * @typedef {import("./subscription.js").Gap} Gap
 *
 * @typedef {object} Refused the server does not carry out a subscribe, and will not (ERR-1)
 * @property {"refused"} is
 * @property {string} id the investigation
 * @property {string} code why, for programs
 * @property {string} message why, for people
 *
 * @typedef {{ is: "send", message: Message }} Send
 * @typedef {{ is: "give_up" }} GiveUp drop the connection: the server is silent
 * @typedef {Send | GiveUp | Event | Gap | Refused} Command
 *
 * @typedef {object} Request a message that awaits its answer, or its next attempt
 * @property {string} id the investigation
 * @property {boolean} [unsubscribes]
 * @property {boolean} [resumes]
 */

/** What a client wants, what a connection has granted, and what is expected next. */
export class Session {
  /** What is used on this connection: `hello` and what the welcome granted; nothing on one of part 1. */
  features = /** @type {ReadonlySet<string>} */ (new Set());
  /** @type {Message | null} */
  welcome = null;
  /** What the server said last that it did not carry out, on this connection. @type {Message | null} */
  lastError = null;
  /** Whether the queue of this connection is filling up (FLW-1). */
  isSlow = false;
  /** @type {Map<string, Subscription>} */
  subscriptions = new Map();

  /** @type {string[]} */
  #wanted = [];
  /** @type {string | null} */
  #token = null;
  #client;
  #next = 0;
  #settled = true;
  /** @type {Map<string, Request>} */
  #requests = new Map();
  /** @type {{ at: number, request: Request }[]} */
  #retries = [];
  /** @type {Set<string>} */
  #left = new Set();
  #heard = 0;
  #probed = false;

  /** @param {{ name: string, version?: string }} client what the server is told about the client */
  constructor(client) {
    this.#client = client;
  }

  /** Whether a hello is said on this connection. */
  get isGreeted() {
    return this.#wanted.length > 0;
  }

  /**
   * Begins a connection: hello and all subscribes at once, since a core server ignores hello (NEG-2).
   * @param {number} now
   * @param {{ features: string[], token: string | null }} options the capabilities to ask for; none: no hello is
   *   said. The token proves who the client is (SEC-1)
   * @returns {Command[]}
   */
  connected(now, { features, token }) {
    this.#wanted = features;
    this.#token = token;
    this.features = new Set();
    this.welcome = this.lastError = null;
    this.isSlow = false;
    this.#settled = !this.isGreeted;
    this.#requests.clear();
    this.#retries = [];
    this.#left.clear();
    this.heard(now);
    return [...this.#hello(), ...[...this.subscriptions.keys()].map((id) => this.#ask({ id, resumes: true }))];
  }

  /** Takes note that the connection ended. */
  disconnected() {
    for (const subscription of this.subscriptions.values()) subscription.disconnected();
  }

  /**
   * Subscribes, or changes the scope of a subscription; the commands are for the open connection.
   * @param {string} id
   * @param {string[] | null} scope
   * @returns {Command[]}
   */
  subscribe(id, scope) {
    const subscription = this.subscriptions.get(id) ?? new Subscription(id, scope);
    subscription.scope = scope;
    this.subscriptions.set(id, subscription);
    this.#left.delete(id);
    return [this.#ask({ id })];
  }

  /**
   * Wants no more of an investigation; a server that cannot unsubscribe is not listened to.
   * @param {string} id
   * @returns {Command[]}
   */
  unsubscribe(id) {
    if (!this.subscriptions.delete(id)) return [];
    this.#left.add(id);
    return this.#settled ? this.#leave() : [];
  }

  /**
   * Takes note of a sign of life.
   * @param {number} now
   */
  heard(now) {
    this.#heard = now;
    this.#probed = false;
  }

  /** Gives the time at which `tick` is due. */
  deadline() {
    return Math.min(this.#silence(), ...this.#retries.map(({ at }) => at));
  }

  /**
   * Does what is due.
   * @param {number} now
   * @returns {Command[]}
   */
  tick(now) {
    const due = this.#retries.filter(({ at }) => at <= now).map(({ request }) => request);
    this.#retries = this.#retries.filter(({ at }) => at > now);
    /** @type {Command[]} */
    const commands = due.filter((request) => this.#isWanted(request)).map((request) => this.#ask(request));
    if (now >= this.#silence()) {
      commands.push(this.#probed ? { is: "give_up" } : send({ type: "ping", id: this.#reference() }));
      this.#probed = true;
    }
    return commands;
  }

  /**
   * Takes a message that is valid on this connection; others are ignored (CLT-2).
   * @param {Message} message
   * @param {number} now
   * @returns {Generator<Command>}
   */
  *receive(message, now) {
    switch (message.type) {
      case "welcome":
        return yield* this.#welcomed(message);
      case "subscription_confirmed":
        this.#settled = true; // without a welcome before it, the server knows part 1 alone (NEG-2)
        this.#answered(message.ref);
        return yield* this.#passedOn(message);
      case "unsubscribed":
        return void this.#answered(message.ref);
      case "ping":
        return yield send({ type: "pong", id: message.id });
      case "error":
        return yield* this.#failed(message, now);
      case "backpressure":
        this.isSlow = message.state === "high";
        return;
      default:
        return yield* this.#passedOn(message);
    }
  }

  /** @returns {Command[]} */
  #hello() {
    if (!this.isGreeted) return [];
    const auth = this.#token === null ? {} : { auth: { token: this.#token } };
    return [send({ type: "hello", protocol: PROTOCOL, features: this.#wanted, client: this.#client, ...auth })];
  }

  /** @param {Message} message @returns {Generator<Command>} */
  *#passedOn(message) {
    const subscription = this.subscriptions.get(message.investigation_id);
    if (subscription === undefined) {
      // A broadcast, as a connection without hello gets it while nobody is subscribed (DEL-3).
      if (message.type === "investigation_update" && !this.#left.has(message.investigation_id)) {
        yield { is: "event", id: message.investigation_id, data: message.data, replayed: false };
      }
      return;
    }
    yield* this.#commands(subscription, subscription.received(message));
  }

  /** @param {Message} message @returns {Generator<Command>} */
  *#welcomed(message) {
    if (this.#settled) return;
    this.#settled = true;
    this.welcome = message;
    const granted = message.features.filter((/** @type {string} */ feature) => this.#wanted.includes(feature));
    this.features = new Set(["hello", ...granted]);
    yield* this.#leave();
  }

  /**
   * When the server has been silent for too long. A browser cannot send ping frames, so a server without
   * `heartbeat` is never given up.
   */
  #silence() {
    const times = this.features.has("heartbeat") ? this.welcome?.heartbeat : undefined;
    if (times === undefined) return Infinity;
    return this.#heard + times.interval_ms + (this.#probed ? times.timeout_ms : 0);
  }

  /** @param {string | undefined} ref @returns {Request | undefined} */
  #answered(ref) {
    if (this.features.size === 0) this.#requests.clear(); // a core server echoes no reference
    if (ref === undefined) return undefined;
    const request = this.#requests.get(ref);
    this.#requests.delete(ref);
    return request;
  }

  /** @param {Message} message @param {number} now @returns {Generator<Command>} */
  *#failed(message, now) {
    this.lastError = message;
    const request = this.#answered(message.ref);
    if (request === undefined || !this.#isWanted(request)) return;
    if (message.temporary) {
      this.#retries.push({ at: now + (message.retry_after_ms ?? RETRY_AFTER_MS), request });
      return;
    }
    const subscription = this.subscriptions.get(request.id);
    if (request.unsubscribes || subscription === undefined) return;
    yield { is: "refused", id: request.id, code: message.code, message: message.message };
    if (subscription.isConfirmed) {
      yield* this.#commands(subscription, subscription.refused(message.ref, message.code));
    } else {
      this.subscriptions.delete(request.id);
    }
  }

  /**
   * @param {Subscription} subscription
   * @param {Iterable<import("./subscription.js").Outcome>} outcomes
   * @returns {Generator<Command>}
   */
  *#commands(subscription, outcomes) {
    for (const outcome of outcomes) {
      yield outcome.is === "resume" ? this.#ask({ id: subscription.id, resumes: true }) : outcome;
    }
  }

  /** @returns {Command[]} */
  #leave() {
    if (!this.features.has("unsubscribe")) return [];
    const left = [...this.#left];
    this.#left.clear();
    return left.map((id) => this.#ask({ id, unsubscribes: true }));
  }

  /** @param {Request} request */
  #isWanted(request) {
    return Boolean(request.unsubscribes) !== this.subscriptions.has(request.id);
  }

  /** @param {Request} request @returns {Send} */
  #ask(request) {
    // On a connection without hello nobody would echo a reference.
    const ref = this.isGreeted ? this.#reference() : null;
    if (ref !== null) this.#requests.set(ref, request);
    if (request.unsubscribes) {
      return send({ type: "unsubscribe_investigation", investigation_id: request.id, ...(ref && { ref }) });
    }
    const subscription = /** @type {Subscription} */ (this.subscriptions.get(request.id));
    return send(subscription.request(ref, Boolean(request.resumes)));
  }

  #reference() {
    this.#next += 1;
    return String(this.#next);
  }
}

/** @param {Message} message @returns {Send} */
function send(message) {
  return { is: "send", message };
}
