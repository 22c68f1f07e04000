/** The investigations: a card each, with progress bars, position and what may be missing. */

import { apply, investigation, share } from "./board.js";
import { clock, definitions, element, say } from "./dom.js";

const MAX_CARDS = 100;
const MAX_NOTES = 20;

/** What a gap means, by its reason (RPL-4, RPL-7). */
const REASONS = new Map([
  ["expired", "the server no longer keeps what was missed, or too much was"],
  ["invalid", "the server does not know the position from before"],
  ["lost", "the next event says that others came before it"],
  ["not_replayed", "the connection was interrupted, and the server replays nothing on this one"],
  ["unavailable", "the server cannot reach its store"],
]);

/**
 * @typedef {import("./subscription.js").Subscription} Subscription
 * @typedef {import("./subscription.js").Gap} Gap
 */

export class Cards {
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #place;
  #act;

  /**
   * @param {HTMLElement} place
   * @param {{ unsubscribe: (id: string) => void, subscribe: (id: string) => void }} act
   */
  constructor(place, act) {
    this.#place = place;
    this.#act = act;
  }

  get isEmpty() {
    return this.#cards.size === 0;
  }

  /** Gives the card of an investigation, a new one where there is none. @param {string} id */
  card(id) {
    const known = this.#cards.get(id);
    if (known !== undefined) return known;
    if (this.#cards.size === MAX_CARDS) this.#remove([...this.#cards.keys()][0]);
    const made = new Card(id, { ...this.#act, remove: () => this.#remove(id) });
    this.#cards.set(id, made);
    this.#place.prepend(made.element);
    return made;
  }

  /** @param {ReadonlyMap<string, Subscription>} subscriptions */
  draw(subscriptions) {
    for (const [id, card] of this.#cards) card.draw(subscriptions.get(id));
  }

  /** @param {string} id */
  #remove(id) {
    this.#cards.get(id)?.element.remove();
    this.#cards.delete(id);
  }
}

class Card {
  element = element("article");

  #board;
  #changed = true;
  #state = element("span", "state");
  #leave = element("button", "", "Unsubscribe");
  #again = element("button", "", "Subscribe");
  #remove = element("button", "", "Remove");
  #overall = bar("overall");
  #tasks = element("ul", "tasks");
  /** @type {Map<string, ReturnType<typeof bar>>} */
  #bars = new Map();
  #dropped = element("p", "hint");
  #notes = element("div");
  #position = element("dl");

  /**
   * @param {string} id
   * @param {{ subscribe: (id: string) => void, unsubscribe: (id: string) => void, remove: () => void }} act
   */
  constructor(id, act) {
    this.#board = investigation(id);
    const title = element("h3", "", id);
    for (const button of [this.#leave, this.#again, this.#remove]) {
      button.type = "button";
      button.setAttribute("aria-label", `${button.textContent} ${id}`);
    }
    this.#leave.addEventListener("click", () => act.unsubscribe(id));
    this.#again.addEventListener("click", () => act.subscribe(id));
    this.#remove.addEventListener("click", () => act.remove());
    const header = element("header", "", title, this.#state, this.#leave, this.#again, this.#remove);
    const position = element("details", "", element("summary", "", "Position and token"), this.#position);
    this.element.dataset.investigation = id;
    this.element.append(header, this.#overall.row, this.#tasks, this.#dropped, this.#notes, position);
  }

  /** @param {{ [field: string]: any }} data */
  apply(data) {
    apply(this.#board, data);
    this.#changed = true;
  }

  /** @param {Gap} gap */
  gap({ reason, after, until, anew }) {
    const between = `${after === null ? "" : ` after ${after}`}${until === null ? "" : ` up to ${until}`}`;
    const why = REASONS.get(reason) ?? reason;
    const text = anew
      ? `The server started anew, and its history from before is gone. Events may be missing here (${reason}).`
      : `Events may be missing${between}: ${why} (${reason}).`;
    this.note(text, true);
  }

  /** @param {string} text @param {boolean} isProblem */
  note(text, isProblem) {
    const made = element("p", isProblem ? "note problem" : "note", `${clock().slice(0, 8)} ${text}`);
    made.setAttribute("role", "status");
    this.#notes.prepend(made);
    while (this.#notes.childElementCount > MAX_NOTES) this.#notes.lastElementChild?.remove();
  }

  /** @param {Subscription | undefined} subscription */
  draw(subscription) {
    say(this.#state, stateOf(subscription));
    this.#leave.hidden = subscription === undefined;
    this.#again.hidden = this.#remove.hidden = subscription !== undefined;
    this.#drawPosition(subscription);
    if (this.#changed) this.#drawBoard();
    this.#changed = false;
  }

  #drawnPosition = "";

  /** @param {Subscription | undefined} subscription */
  #drawPosition(subscription) {
    const { last, epoch, token } = subscription ?? { last: null, epoch: null, token: null };
    const position = JSON.stringify([last, epoch, token]);
    if (position === this.#drawnPosition) return;
    this.#drawnPosition = position;
    const code = (/** @type {string | number | null} */ value) => element("code", "", String(value ?? "none"));
    const pairs = /** @type {[string, Node][]} */ ([
      ["seq", code(last)],
      ["epoch", code(epoch)],
      ["token", code(token)],
    ]);
    this.#position.replaceChildren(...definitions(pairs));
  }

  #drawBoard() {
    const board = this.#board;
    const count = board.events === 1 ? "1 event" : `${board.events} events`;
    this.#overall.draw(count, share(board), board.state, board.message);
    for (const [id, { row }] of this.#bars) {
      if (board.tasks.has(id)) continue;
      row.remove();
      this.#bars.delete(id);
    }
    for (const [id, task] of board.tasks) {
      const known = this.#bars.get(id) ?? bar("task", "li");
      if (!this.#bars.has(id)) this.#tasks.append(known.row);
      this.#bars.set(id, known);
      known.draw(task.name, task.progress, task.state, task.message);
      known.row.dataset.task = id;
    }
    this.#dropped.hidden = board.dropped === 0;
    say(this.#dropped, `${board.dropped} older tasks are not shown.`);
  }
}

/** @param {Subscription | undefined} subscription */
function stateOf(subscription) {
  if (subscription === undefined) return "not subscribed";
  if (!subscription.isConfirmed) return "waiting for the confirmation";
  return subscription.isReplaying ? "replaying what was missed" : "subscribed";
}

/** A line with a progress bar. @param {string} className @param {"div" | "li"} [tag] */
function bar(className, tag = "div") {
  const [name, percent, state, said] = ["name", "percent", "is", "said"].map((one) => element("span", one));
  const progress = element("progress");
  const row = element(tag, className, name, progress, percent, state, said);
  /** @param {string} title @param {number | null} done @param {string} is @param {string} message */
  const draw = (title, done, is, message) => {
    say(name, title);
    progress.setAttribute("aria-label", `progress of ${title}`);
    progress.classList.toggle("none", done === null);
    progress.value = done ?? 0;
    // What is not done is never shown as done.
    say(percent, done === null ? "" : `${Math.floor(done * 100)} %`);
    say(state, is);
    state.dataset.is = is;
    say(said, message);
    said.hidden = message === "";
  };
  return { row, draw };
}
