// Part 1 of the protocol on Node and ws, as a backend team would write it.
//
// A foreign target for the conformance runner: it knows nothing of Part 2, has no fallback (DEL-3), closes on
// malformed input (ROB-2) and lets numbers through JavaScript's doubles (EVT-6 is a SHOULD).

import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";

const MAX_MESSAGE_BYTES = 128 * 1024; // inbound; ROB-4 wants 64 KiB at least
const MAX_BODY_BYTES = 256 * 1024;
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;
const STALLED_MS = 10_000;
const SWEEP_MS = 1_000;
const ID_CHARACTERS = 255;

const { values: options } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "8000" },
  },
});

/** The open connections, each with the investigations that it follows. */
const connections = new Map();

// Code points: `length` counts a character beyond the BMP twice.
const isId = (value) =>
  typeof value === "string" && value !== "" && [...value].length <= ID_CHARACTERS;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // never a value of JSON
  }
}

/** Sends without waiting; who leaves more unread than the bound is dropped (ROB-5). */
function send(ws, text) {
  ws.send(text);
  if (ws.bufferedAmount > MAX_QUEUED_BYTES) ws.terminate();
}

function onMessage(ws, bytes, isBinary) {
  // ws keeps handing over messages that arrive after close() was called.
  if (ws.readyState !== ws.OPEN) return;
  if (isBinary) return ws.close(1003, "text messages only");
  const message = parse(bytes.toString());
  if (message === undefined) return ws.close(1007, "invalid JSON");
  if (!isObject(message) || typeof message.type !== "string") {
    return ws.close(1008, "an object with a type is wanted");
  }
  if (message.type !== "subscribe_investigation") return;
  const { investigation_id } = message;
  if (!isId(investigation_id)) return ws.close(1008, "investigation_id must have 1 to 255 characters");
  connections.get(ws).investigations.add(investigation_id);
  send(ws, JSON.stringify({ type: "subscription_confirmed", investigation_id }));
}

function publish(investigation_id, data) {
  const text = JSON.stringify({ type: "investigation_update", investigation_id, data });
  for (const [ws, { investigations }] of connections) {
    if (investigations.has(investigation_id)) send(ws, text);
  }
}

/** Drops whoever took nothing of what waits for it for STALLED_MS; a close frame would wait behind it. */
function sweep() {
  const now = performance.now();
  for (const [ws, connection] of connections) {
    const taken = connection.socket.bytesWritten - connection.socket.writableLength;
    if (connection.socket.writableLength === 0 || taken !== connection.taken) {
      connection.taken = taken;
      connection.since = now;
    } else if (now - connection.since > STALLED_MS) {
      ws.terminate();
    }
    // What answers pings is queued by ws itself, past send().
    if (ws.bufferedAmount > MAX_QUEUED_BYTES) ws.terminate();
  }
}

const webSockets = new WebSocketServer({
  noServer: true,
  // The default, 100 MiB, lets every client hold that much of the server's memory.
  maxPayload: MAX_MESSAGE_BYTES,
  perMessageDeflate: false,
});

webSockets.on("connection", (ws, request) => {
  connections.set(ws, {
    socket: request.socket,
    investigations: new Set(),
    taken: 0,
    since: performance.now(),
  });
  ws.on("message", (bytes, isBinary) => onMessage(ws, bytes, isBinary));
  // Without a listener a single malformed frame would end the process. ws closes with 1002, 1007 or 1009.
  ws.on("error", () => {});
  ws.on("close", () => connections.delete(ws));
});

const isEventsPath = (url) => /^\/ws\/[^/]+$/.test(url.split("?")[0]);

function answer(response, status, text = "", headers = {}) {
  response.writeHead(status, { "Content-Type": "text/plain", ...headers }).end(text);
}

// --8<-- [start:inject]
// In tests only: whoever reaches it makes the server say anything.
const INJECT = process.env.ENABLE_INJECT === "1";

/** Emits exactly what the request says, by the way that every event goes. */
async function inject(request, response) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return answer(response, 413, "too large", { Connection: "close" });
    chunks.push(chunk);
  }
  const body = parse(Buffer.concat(chunks).toString());
  if (!isObject(body) || !isId(body.investigation_id) || !isObject(body.data)) {
    return answer(response, 422, "an investigation_id and a data object are wanted");
  }
  publish(body.investigation_id, body.data);
  answer(response, 202);
}
// --8<-- [end:inject]

const server = createServer((request, response) => {
  if (isEventsPath(request.url)) return answer(response, 426, "WebSocket only", { Upgrade: "websocket" });
  if (!INJECT || request.url !== "/inject") return answer(response, 404);
  if (request.method !== "POST") return answer(response, 405, "", { Allow: "POST" });
  // Nesting too deep for JSON.stringify, or a client that left while it sent.
  inject(request, response).catch(() => answer(response, 400));
});

server.on("upgrade", (request, socket, head) => {
  // Nothing is keyed by the client_id (CONN-5, CONN-6), so it need not even be decoded.
  if (!isEventsPath(request.url)) return socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
  webSockets.handleUpgrade(request, socket, head, (ws) => webSockets.emit("connection", ws, request));
});

process.on("SIGTERM", () => {
  for (const ws of connections.keys()) ws.close(1001);
  setTimeout(() => process.exit(0), 200);
});

setInterval(sweep, SWEEP_MS);
server.listen(Number(options.port), options.host, () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});
