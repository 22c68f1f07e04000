// A peer: ws on Node, an event encoded once and sent to each receiver.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const subscribers = new Map();

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
sockets.on("connection", (ws) => {
  ws.on("error", () => {}); // the benchmark resets its connections
  ws.on("message", (bytes) => {
    const message = JSON.parse(bytes);
    const { investigation_id } = message;
    if (message.type === "subscribe_investigation") {
      if (!subscribers.has(investigation_id)) subscribers.set(investigation_id, new Set());
      subscribers.get(investigation_id).add(ws);
      ws.send(JSON.stringify({ type: "subscription_confirmed", investigation_id }));
    } else if (message.type === "publish") {
      const { data } = message;
      const text = Buffer.from(JSON.stringify({ type: "investigation_update", investigation_id, data }));
      for (const receiver of subscribers.get(investigation_id) ?? []) receiver.send(text, { binary: false });
    }
  });
  ws.on("close", () => {
    for (const receivers of subscribers.values()) receivers.delete(ws);
  });
});

const server = createServer((_request, response) => response.writeHead(404).end());
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit("connection", ws));
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
