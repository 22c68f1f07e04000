/**
 * One investigation's subscription: position, duplicates and losses (RPL-2). No I/O, and no clock.
 *
 * The rules are those of the Python client, osint_events_client/subscription.py.
 */

/** Updates kept while it is not known whether what came before them is replayed. */
const MAX_HELD = 1000;

/**
 * @typedef {{ [field: string]: any }} Message a message that is valid against its schema
 *
 * @typedef {object} Event
 * @property {"event"} is
 * @property {string} id the investigation
 * @property {Message} data the payload
 * @property {boolean} replayed whether it was missed before, and is sent again
 *
 * @typedef {object} Gap events may be missing: after the last one before it, up to the next
 * @property {"gap"} is
 * @property {string} id the investigation
 * @property {string} reason `lost`, `not_replayed`, or as the server has it
 * @property {number | null} after the position before it, where it is known
 * @property {number | null} until the position after it, where it is known
 * @property {boolean} anew whether the sequence started anew: the history from before is gone (RPL-8)
 *
 * @typedef {{ is: "resume" }} Resume subscribe again, from the position that is held
 * @typedef {Event | Gap | Resume} Outcome
 */

/** What a client knows of one investigation, from connection to connection. */
export class Subscription {
  /** The part of its events that is wanted; null: all. @type {string[] | null} */
  scope;
  /** Whether the server confirmed it, on this connection. */
  isConfirmed = false;
  /** Names the run of the sequence numbers. @type {string | null} */
  epoch = null;
  /** The position: the number of the last event. @type {number | null} */
  last = null;
  /** What resumes from the position. @type {string | null} */
  token = null;

  // Since the position that is held, a connection ended.
  #interrupted = false;
  // The subscribe, by its reference, whose answer says what is replayed.
  /** @type {string | null} */
  #resuming = null;
  // Updates that the replay under way still brings; null: none is.
  /** @type {number | null} */
  #replaying = null;
  /** @type {Message[]} */
  #held = [];

  /**
   * @param {string} id 1 to 255 characters
   * @param {string[] | null} scope
   */
  constructor(id, scope) {
    this.id = id;
    this.scope = scope;
  }

  /** Whether a replay is under way, or asked for. */
  get isReplaying() {
    return this.#replaying !== null || this.#resuming !== null;
  }

  /**
   * Gives the subscribe message, with the token where the position is to be resumed from.
   * @param {string | null} ref
   * @param {boolean} resume
   * @returns {Message}
   */
  request(ref, resume) {
    /** @type {Message} */
    const message = { type: "subscribe_investigation", investigation_id: this.id };
    if (ref !== null) message.ref = ref;
    if (ref !== null && resume && this.token !== null) {
      message.replay_token = this.token;
      this.#resuming = ref;
    }
    if (ref !== null && this.scope !== null) message.scope = this.scope;
    return message;
  }

  /** Takes note that the connection ended: what happens until the next one is missed. */
  disconnected() {
    this.#interrupted ||= this.isConfirmed;
    this.isConfirmed = false;
    this.#resuming = this.#replaying = null;
    this.#held = [];
  }

  /**
   * Takes a message of the server about this investigation.
   * @param {Message} message
   * @returns {Generator<Outcome>}
   */
  *received(message) {
    switch (message.type) {
      case "subscription_confirmed":
        return yield* this.#confirmed(message);
      case "investigation_update":
        return yield* this.#updated(message);
      case "gap":
        return yield* this.#gapped(message);
      case "position":
      case "replay_complete":
        return yield* this.#moved(message);
    }
  }

  /**
   * Takes word that a subscribe is not carried out: an attempt to recover has failed.
   * @param {string} ref
   * @param {string} code
   * @returns {Generator<Outcome>}
   */
  *refused(ref, code) {
    if (this.#resuming !== ref) return;
    this.#resuming = null;
    yield* this.#gap(code, null, this.#taken());
  }

  /** @param {Message} message @returns {Generator<Outcome>} */
  *#confirmed(message) {
    this.isConfirmed = true;
    const numbered = message.seq !== undefined && message.token !== undefined;
    if (numbered && this.#resuming !== null && message.ref !== this.#resuming) return;
    const missed = this.#interrupted || this.#resuming !== null;
    const replay = numbered ? message.replay : undefined;
    const held = this.#taken();
    this.#interrupted = false;
    this.#resuming = null;
    this.#replaying = replay?.status === "complete" ? replay.count : null;
    if (missed && this.#replaying === null) {
      yield* this.#gap(replay?.reason ?? "not_replayed", message.seq ?? null, held, message.epoch);
      if (held.length > 0 && this.last !== null && message.seq > this.last) {
        // Nothing proves that what was held is all until the confirmation.
        yield* this.#gap("lost", message.seq, []);
      }
    }
    this.#at(message);
  }

  /**
   * Takes an update: an event, a duplicate, or the proof of a loss, which is recovered if possible.
   * @param {Message} message
   * @returns {Generator<Outcome>}
   */
  *#updated(message) {
    if (this.#replaying !== null) this.#replaying -= 1;
    if (this.#resuming !== null) {
      // Whatever the answer, more is not kept: a replay brings it again, else it is part of the gap.
      this.#held.push(message);
      if (this.#held.length > MAX_HELD) this.#held.shift();
    } else if (!this.#provesLoss(message)) {
      yield* this.#delivered(message);
    } else if (this.token !== null && this.#replaying === null) {
      this.#held.push(message);
      yield { is: "resume" };
    } else {
      yield* this.#gap("lost", message.prev, [message]);
    }
  }

  /**
   * Takes word of a gap: the token held before it recovers what is recoverable (RPL-7).
   * @param {Message} message
   * @returns {Generator<Outcome>}
   */
  *#gapped(message) {
    if (this.#resuming !== null) return;
    if (this.token !== null && message.reason !== "epoch_changed") {
      yield { is: "resume" };
    } else {
      yield* this.#gap(message.reason, message.seq, [], message.epoch);
      this.#at(message);
    }
  }

  /**
   * Takes a position without an event; never one behind, as a node may be that knows less (RPL-9).
   * @param {Message} message
   * @returns {Generator<Outcome>}
   */
  *#moved(message) {
    if (this.#resuming !== null) return;
    if (message.type === "replay_complete") {
      const missing = this.#replaying ?? 0;
      this.#replaying = null;
      if (missing > 0) yield* this.#gap("lost", message.seq, []); // nothing after the last one proves it
    }
    if (this.last === null || message.seq > this.last) this.#at(message);
  }

  /** Gives what is held, which is held no more. */
  #taken() {
    const held = this.#held;
    this.#held = [];
    return held;
  }

  /**
   * Tells of a gap, and hands over what came after it meanwhile, since it is not sent again.
   * @param {string} reason
   * @param {number | null} until
   * @param {Message[]} held
   * @param {string} [epoch] the one that is true from here on
   * @returns {Generator<Outcome>}
   */
  *#gap(reason, until, held, epoch) {
    const anew = reason === "epoch_changed" || (epoch !== undefined && this.epoch !== null && epoch !== this.epoch);
    const id = this.id;
    yield { is: "gap", id, reason, after: this.last, until: held[0]?.prev ?? until, anew };
    this.last = null;
    for (const message of held) {
      if (this.#provesLoss(message)) {
        yield { is: "gap", id, reason: "lost", after: this.last, until: message.prev, anew: false };
      }
      yield* this.#delivered(message);
    }
  }

  /** @param {Message} message */
  #provesLoss(message) {
    return this.last !== null && message.prev !== undefined && message.prev > this.last;
  }

  /** @param {Message} message @returns {Generator<Outcome>} */
  *#delivered(message) {
    if (message.seq !== undefined) {
      if (this.last !== null && message.seq <= this.last) return;
      this.last = message.seq;
      this.token = message.token ?? null;
    }
    yield { is: "event", id: this.id, data: message.data, replayed: message.replayed === true };
  }

  /** @param {Message} message */
  #at(message) {
    this.last = message.seq ?? null;
    this.token = message.token ?? null;
    this.epoch = message.epoch ?? (this.last === null ? null : this.epoch);
  }
}
