/** The list of messages: each raw beside what it was found to be. */

import { byId, clock, definitions, element, say } from "./dom.js";

const MAX_ENTRIES = 300;
const MAX_PROBLEMS = 100;
const MAX_SHOWN = 20_000; // characters of one message

/**
 * @typedef {import("./inspect.js").Inspected} Inspected
 *
 * @typedef {object} Entry
 * @property {Inspected} inspected
 * @property {boolean} sent
 * @property {string} time
 */

export class Messages {
  #list = byId("messages", HTMLElement);
  #count = byId("count", HTMLElement);
  #onlyProblems = byId("problems", HTMLInputElement);
  #pause = byId("pause", HTMLInputElement);
  /** @type {Entry[]} */
  #entries = [];
  /** @type {Entry[]} */
  #problems = [];
  /** @type {Entry[]} */
  #fresh = [];
  #seen = 0;
  #wrong = 0;

  constructor() {
    this.#onlyProblems.addEventListener("change", () => this.#again());
    this.#pause.addEventListener("change", () => this.#again());
    byId("clear", HTMLButtonElement).addEventListener("click", () => {
      this.#entries = [];
      this.#problems = [];
      this.#seen = this.#wrong = 0;
      this.#again();
    });
  }

  /** @param {Inspected} inspected @param {boolean} sent */
  add(inspected, sent) {
    const entry = { inspected, sent, time: clock() };
    this.#seen += 1;
    keep(this.#entries, entry, MAX_ENTRIES);
    keep(this.#fresh, entry, MAX_ENTRIES);
    if (isProblem(inspected)) {
      this.#wrong += 1;
      keep(this.#problems, entry, MAX_PROBLEMS);
    }
  }

  /** Shows what was added since. */
  draw() {
    const wrong = this.#wrong === 0 ? "" : `, ${this.#wrong} with problems`;
    say(this.#count, this.#seen === 0 ? "none yet" : `${this.#seen} messages${wrong}`);
    if (this.#pause.checked) return;
    const fresh = this.#onlyProblems.checked ? this.#fresh.filter((one) => isProblem(one.inspected)) : this.#fresh;
    this.#fresh = [];
    if (fresh.length > 0) this.#list.prepend(...fresh.map(row).reverse());
    while (this.#list.childElementCount > MAX_ENTRIES) this.#list.lastElementChild?.remove();
  }

  #again() {
    if (!this.#pause.checked) {
      this.#fresh = [...(this.#onlyProblems.checked ? this.#problems : this.#entries)];
      this.#list.replaceChildren();
    }
    this.draw();
  }
}

/** @param {Entry[]} entries @param {Entry} entry @param {number} most */
function keep(entries, entry, most) {
  entries.push(entry);
  if (entries.length > most) entries.shift();
}

/** @param {Inspected} inspected */
function isProblem({ verdict, payload }) {
  return verdict === "invalid" || (payload !== null && payload.failures.length > 0);
}

/** @param {Inspected} inspected */
function verdictOf({ verdict, payload }) {
  return verdict === "valid" && payload !== null && payload.failures.length > 0 ? "invalid payload" : verdict;
}

/** @param {Entry} entry */
function row({ inspected, sent, time }) {
  const made = element("details", "row");
  made.classList.toggle("problem", isProblem(inspected));
  made.classList.toggle("ignored", inspected.verdict === "ignored");
  const what = element("span", "what", inspected.type ?? "no message");
  if (inspected.payload !== null) {
    what.append(" ", element("span", "kind", inspected.payload.kind ?? "unknown kind"));
  }
  const way = element("span", "way", sent ? "→" : "←");
  way.title = sent ? "sent to the server" : "from the server";
  way.setAttribute("aria-label", way.title);
  way.setAttribute("role", "img");
  const verdict = element("span", "verdict", verdictOf(inspected));
  made.append(element("summary", "", element("time", "", time), way, what, verdict));
  made.addEventListener("toggle", () => made.open && made.childElementCount === 1 && made.append(sides(inspected)));
  return made;
}

/** @param {Inspected} inspected */
function sides(inspected) {
  const { text } = inspected;
  const shown = text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)} … (${text.length} characters in all)`;
  return element(
    "div",
    "sides",
    element("div", "", element("h3", "", "Raw"), element("pre", "raw", shown)),
    element("div", "", element("h3", "", "Classified"), element("dl", "", ...definitions(classified(inspected)))),
  );
}

/** @param {Inspected} inspected @returns {Generator<[string, Node | string]>} */
function* classified({ type, verdict, schema, failures, unused, payload }) {
  yield ["type", type ?? "none"];
  if (verdict === "ignored") yield ["verdict", "ignored: this type is not known on this connection (NEG-1, CLT-2)"];
  else yield ["message", held(schema ?? "the rules for all messages (MSG-1)", failures)];
  if (unused.length > 0) yield ["ignored fields", `${unused.join(", ")}: their capability is not used (NEG-1)`];
  if (payload === null) return;
  yield ["kind", `${payload.kind ?? "unknown"} (by ${payload.rule})`];
  yield ["payload", held("event", payload.failures)];
}

/** @param {string} schema @param {import("./inspect.js").Failure[]} failures */
function held(schema, failures) {
  if (failures.length === 0) return `valid against ${schema}`;
  const reasons = failures.map(({ path, keyword, message }) =>
    element("li", "", `${path === "" ? "the whole" : path} ${message} (${keyword})`),
  );
  return element("div", "", `invalid against ${schema}:`, element("ul", "failures", ...reasons));
}
