// Notices a connection that is silent because it is dead, and makes another one.
import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";

export function follow(url, investigationId, show) {
  const socket = new WebSocket(`${url}/${randomUUID()}`);
  let interval = 25_000; // silence before the server is asked, in milliseconds
  let timeout = 10_000; // how long it then has to answer
  let granted = false;
  let timer;

  function alive() {
    clearTimeout(timer);
    timer = setTimeout(ask, interval);
  }
  function ask() {
    socket.ping(); // any server answers a ping frame (CONN-3), with heartbeats or without
    timer = setTimeout(dead, timeout);
  }
  function dead() {
    show("silent: connecting again");
    socket.removeAllListeners();
    socket.on("error", () => {}); // whatever still comes of it
    socket.terminate();
    follow(url, investigationId, show);
  }

  socket.on("open", () => {
    socket.send(JSON.stringify({ type: "hello", protocol: 1, features: ["heartbeat"] }));
    socket.send(JSON.stringify({ type: "subscribe_investigation", investigation_id: investigationId }));
    alive();
  });
  socket.on("ping", alive); // ws answers these by itself
  socket.on("pong", alive);
  socket.on("message", (bytes) => {
    alive(); // whatever comes is a sign of life
    const message = JSON.parse(bytes);
    switch (message.type) {
      case "welcome":
        granted = message.features.includes("heartbeat");
        if (granted) ({ interval_ms: interval, timeout_ms: timeout } = message.heartbeat);
        return alive();
      case "ping": // the server asks too, and closes with 4001 where nothing answers (HB-2)
        return granted && socket.send(JSON.stringify({ type: "pong", id: message.id }));
      case "investigation_update":
        if (message.investigation_id === investigationId) show(message.data.type);
    }
  });
  socket.on("error", (error) => show(`no connection: ${error.message}`));
  socket.on("close", () => clearTimeout(timer)); // the recipe for resuming says when to come back
}
