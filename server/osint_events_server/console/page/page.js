/** The page: what is clicked becomes what the connection does, and what it tells becomes visible. */

import { Cards } from "./cards.js";
import { Connection } from "./connection.js";
import { FEATURES } from "./contract/features.js";
import { byId, definitions, element, say } from "./dom.js";
import { Messages } from "./messages.js";
import { Session } from "./session.js";

const SETTINGS = "/console/settings.json";
const SIMULATIONS = "/console/simulations";

const connectButton = byId("connect", HTMLButtonElement);
const dropButton = byId("drop", HTMLButtonElement);
const stateLine = byId("state", HTMLElement);
const errorLine = byId("error", HTMLElement);
const slowLine = byId("slow", HTMLElement);
const nothing = byId("nothing", HTMLElement);
const welcomeBox = byId("welcome", HTMLDetailsElement);
const simulateButton = byId("simulate", HTMLButtonElement);
const simulationLine = byId("simulation", HTMLElement);
const idInput = byId("investigation", HTMLInputElement);
const scopeInput = byId("scope", HTMLSelectElement);
const tokenInput = byId("token", HTMLInputElement);

const features = FEATURES.map((name) => {
  const box = element("input");
  box.type = "checkbox";
  box.name = name;
  box.checked = true;
  const granted = element("output");
  byId("features", HTMLElement).append(element("label", "", box, name, granted));
  return { name, box, granted };
});

const session = new Session({ name: "osint-events console" });
const messages = new Messages();
/** Investigations that are simulated once their subscription is confirmed. @type {Set<string>} */
const toSimulate = new Set();

const connection = new Connection(socketUrl, session, {
  message: (inspected, sent) => {
    messages.add(inspected, sent);
    const message = inspected.message;
    if (sent || message?.type !== "subscription_confirmed") return;
    if (message.replay?.status === "complete" && session.subscriptions.has(message.investigation_id)) {
      cards.card(message.investigation_id).note(`Resumed: ${missed(message.replay.count)}.`, false);
    }
  },
  item: (item) => {
    const card = cards.card(item.id);
    if (item.is === "event") card.apply(item.data);
    else if (item.is === "gap") card.gap(item);
    else card.note(`The server refused: ${item.message} (${item.code}).`, true);
  },
  change: scheduled,
});

const cards = new Cards(byId("investigations", HTMLElement), {
  subscribe: (id) => connection.subscribe(id, scope()),
  unsubscribe: (id) => connection.unsubscribe(id),
});

/** @param {number} count */
function missed(count) {
  if (count === 0) return "nothing was missed";
  return count === 1 ? "1 event that was missed is replayed" : `${count} events that were missed are replayed`;
}

/** The WebSocket's URL on the server that this page came from. */
function socketUrl() {
  const random = crypto.getRandomValues(new Uint32Array(2));
  const url = new URL(`/ws/console-${[...random].map((one) => one.toString(16)).join("")}`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function connect() {
  const wanted = features.filter(({ box }) => box.checked).map(({ name }) => name);
  connection.connect({ features: wanted, token: tokenInput.value || null });
}

/** What the server is asked for: nothing where the whole is wanted, as is the default. */
function scope() {
  return scopeInput.value === "all" ? null : [scopeInput.value];
}

/** @param {string} id */
function subscribe(id) {
  cards.card(id);
  connection.subscribe(id, scope());
}

let isScheduled = false;

/** Draws everything that changed, once before the next frame. */
function scheduled() {
  if (!isScheduled) requestAnimationFrame(draw);
  isScheduled = true;
}

function draw() {
  isScheduled = false;
  const { name, text } = connection.state;
  const isOn = name !== "off" && name !== "ended";
  say(stateLine, text);
  stateLine.dataset.state = name;
  say(connectButton, isOn ? "Disconnect" : "Connect");
  dropButton.disabled = name !== "open";
  slowLine.hidden = !session.isSlow;
  const error = session.lastError;
  errorLine.hidden = error === null;
  if (error !== null) say(errorLine, `The server reports ${error.code}: ${error.message}`);
  drawGranted(name === "open");
  nothing.hidden = !cards.isEmpty;
  cards.draw(session.subscriptions);
  messages.draw();
  startSimulations();
}

/** @type {unknown} */
let drawnWelcome = undefined;

/** @param {boolean} isOpen */
function drawGranted(isOpen) {
  const welcome = isOpen ? session.welcome : null;
  if (welcome === drawnWelcome) return;
  drawnWelcome = welcome;
  welcomeBox.hidden = welcome === null;
  for (const { name, box, granted } of features) {
    const isGranted = session.features.has(name);
    say(granted, welcome === null || !box.checked ? "" : isGranted ? "✓ granted" : "✗ not granted");
    granted.className = isGranted ? "granted" : "refused";
  }
  if (welcome === null) return;
  const { protocol, connection_id: id, heartbeat, limits } = welcome;
  const pairs = { protocol, "connection id": id, ...prefixed("heartbeat", heartbeat), ...limits };
  const shown = Object.entries(pairs).map(([term, value]) => /** @type {[string, string]} */ ([term, String(value)]));
  welcomeBox.querySelector("dl")?.replaceChildren(...definitions(shown));
}

/** @param {string} prefix @param {object} [fields] */
function prefixed(prefix, fields = {}) {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [`${prefix} ${name}`, value]));
}

function startSimulations() {
  for (const id of toSimulate) {
    if (!session.subscriptions.get(id)?.isConfirmed) continue;
    toSimulate.delete(id);
    void simulated(id);
  }
}

/** @param {string} id */
async function simulated(id) {
  const body = JSON.stringify({ investigation_id: id });
  const headers = { "Content-Type": "application/json" };
  let problem = "";
  try {
    const response = await fetch(SIMULATIONS, { method: "POST", headers, body });
    if (!response.ok) problem = (await response.json()).message;
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  simulationLine.hidden = problem === "";
  say(simulationLine, `The simulation did not start: ${problem}`);
}

connectButton.addEventListener("click", () => {
  if (connectButton.textContent === "Connect") connect();
  else connection.disconnect();
});
dropButton.addEventListener("click", () => connection.drop());
byId("options", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  connect();
});
byId("subscribe", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  subscribe(idInput.value);
  if (connection.state.name === "off") connect();
  idInput.value = "";
  idInput.focus();
});
simulateButton.addEventListener("click", () => {
  // The server simulates under this prefix alone.
  const id = `demo-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  toSimulate.add(id);
  subscribe(id);
  if (connection.state.name === "off") connect();
});

const settings = await (await fetch(SETTINGS)).json();
if (settings.simulate) {
  simulateButton.hidden = false;
  for (const id of settings.watch) subscribe(id);
  connect();
}
draw();
