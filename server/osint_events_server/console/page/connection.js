/** The shell around the session: a WebSocket that is opened again, and one timer. */

import { CLOSE_CODES, reconnectsAfter } from "./contract/close-codes.js";
import { inspect, inspectSent } from "./inspect.js";
import { Backoff } from "./reconnect.js";

/** The close code of a connection that this page drops: one after which a client comes back. */
const DROPPED = 4000;
/** Timers of browsers hold no longer waits. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * @typedef {object} Options
 * @property {string[]} features the capabilities to ask for; none: no hello is said
 * @property {string | null} token proves who the client is
 *
 * @typedef {object} State
 * @property {"off" | "connecting" | "open" | "waiting" | "ended"} name
 * @property {string} text for people
 *
 * @typedef {import("./session.js").Session} Session
 * @typedef {import("./inspect.js").Inspected} Inspected
 * @typedef {Exclude<import("./session.js").Command, { is: "send" | "give_up" }>} Item
 */

export class Connection {
  /** @type {State} */
  state = { name: "off", text: "not connected" };

  #url;
  #session;
  #tell;
  #backoff = new Backoff(Math.random);
  /** @type {Options} */
  #options = { features: [], token: null };
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {number | undefined} */
  #timer = undefined;
  #opened = 0;

  /**
   * @param {() => string} url gives the URL for the next attempt, with a client_id of its own (CLT-5)
   * @param {Session} session
   * @param {object} tell
   * @param {(inspected: Inspected, sent: boolean) => void} tell.message of each message, either way
   * @param {(item: Item) => void} tell.item of events, gaps and refusals
   * @param {() => void} tell.change when the state of anything may have changed
   */
  constructor(url, session, tell) {
    this.#url = url;
    this.#session = session;
    this.#tell = tell;
  }

  /** @param {Options} options */
  connect(options) {
    this.#options = options;
    this.disconnect();
    this.#open();
  }

  /** Ends the connection, and makes no other. */
  disconnect() {
    clearTimeout(this.#timer);
    this.#lose(CLOSE_CODES.NORMAL_CLOSURE);
    this.#become("off", "not connected");
  }

  /** Cuts the connection, as a network may; the next one resumes. */
  drop() {
    if (this.#socket === null) return;
    this.#lose(DROPPED);
    this.#wait("the connection was dropped");
  }

  /** @param {string} id @param {string[] | null} scope */
  subscribe(id, scope) {
    this.#do(this.#session.subscribe(id, scope));
  }

  /** @param {string} id */
  unsubscribe(id) {
    this.#do(this.#session.unsubscribe(id));
  }

  #open() {
    this.#become("connecting", "connecting …");
    const socket = new WebSocket(this.#url());
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    // What an older socket says later is not heard.
    const on = (/** @type {string} */ name, /** @type {(event: any) => void} */ act) =>
      socket.addEventListener(name, (event) => socket === this.#socket && act(event));
    on("open", () => {
      this.#opened = performance.now();
      this.#become("open", "connected");
      this.#do(this.#session.connected(performance.now(), this.#options));
    });
    on("message", ({ data }) => this.#heard(data));
    on("close", ({ code, reason }) => this.#closed(code, reason));
  }

  /** @param {unknown} data */
  #heard(data) {
    const session = this.#session;
    session.heard(performance.now());
    const inspected = inspect(data, session.features, session.isGreeted);
    this.#tell.message(inspected, false);
    if (inspected.message !== null) this.#do(session.receive(inspected.message, performance.now()));
    else this.#rest();
  }

  /** @param {Iterable<import("./session.js").Command>} commands */
  #do(commands) {
    for (const command of commands) {
      if (command.is === "send") this.#send(command.message);
      else if (command.is === "give_up") return this.#giveUp();
      else this.#tell.item(command);
    }
    this.#rest();
  }

  /** @param {import("./subscription.js").Message} message */
  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return; // the next connection begins with all of it
    const text = JSON.stringify(message);
    this.#socket.send(text);
    this.#tell.message(inspectSent(text, this.#session.features), true);
  }

  #rest() {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#at(this.#session.deadline() - performance.now(), () => this.#do(this.#session.tick(performance.now())));
    }
    this.#tell.change();
  }

  #giveUp() {
    this.#lose(DROPPED);
    this.#wait("the server was silent");
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    const text = `the connection ended with ${code}${reason && ` (${reason})`}`;
    this.#lose(CLOSE_CODES.NORMAL_CLOSURE);
    if (reconnectsAfter(code)) this.#wait(text);
    else this.#become("ended", `${text}, after which a client does not come back by itself`);
  }

  /** @param {number} code */
  #lose(code) {
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    clearTimeout(this.#timer);
    if (this.#opened > 0) this.#backoff.lasted(performance.now() - this.#opened);
    this.#opened = 0;
    socket.close(code);
    this.#session.disconnected();
  }

  /** @param {string} why */
  #wait(why) {
    const ms = this.#backoff.delay();
    this.#at(ms, () => this.#open());
    this.#become("waiting", `${why}; connecting again in ${(ms / 1000).toFixed(1)} s`);
  }

  /** @param {number} ms @param {() => void} act */
  #at(ms, act) {
    clearTimeout(this.#timer);
    if (ms < Infinity) this.#timer = setTimeout(act, Math.min(Math.max(ms, 0), MAX_TIMER_MS));
  }

  /** @param {State["name"]} name @param {string} text */
  #become(name, text) {
    this.state = { name, text };
    this.#tell.change();
  }
}
