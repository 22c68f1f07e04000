// Keeps up with a busy investigation: shows less while it is behind, and waits where it asked too fast.
import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";

export function follow(url, investigationId, show) {
  const socket = new WebSocket(`${url}/${randomUUID()}`);
  const waiting = new Map(); // while behind: the newest line of each task
  let behind = false;

  function subscribe() {
    socket.send(
      JSON.stringify({ type: "subscribe_investigation", investigation_id: investigationId, ref: "s1" }),
    );
  }

  socket.on("open", () => {
    socket.send(JSON.stringify({ type: "hello", protocol: 1, features: ["flow"] }));
    subscribe();
  });
  socket.on("message", (bytes) => {
    const message = JSON.parse(bytes);
    switch (message.type) {
      case "backpressure": // high at half of the server's queue for us, normal at a quarter (FLW-1)
        behind = message.state === "high";
        if (!behind) waiting.forEach((line) => show(line));
        return waiting.clear();
      case "error": // too many messages in a short time: this one was not carried out (FLW-3)
        if (message.ref === "s1" && message.temporary) setTimeout(subscribe, message.retry_after_ms ?? 1000);
        return;
      case "investigation_update": {
        if (message.investigation_id !== investigationId) return;
        const { task_id, progress } = message.data;
        const line = `${task_id} ${Math.round(progress * 100)} %`;
        // Writing on to a slower place? socket.pause() and socket.resume() let the server wait instead.
        return behind ? waiting.set(task_id, line) : show(line);
      }
    }
  });
  socket.on("error", (error) => show(`no connection: ${error.message}`));
  socket.on("close", (code) => show(code === 4002 ? "too slow: resume by token" : `ended with ${code}`));
}
