// Shows what happens to one investigation, with any server.
import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";

export function follow(url, investigationId, show) {
  // Each connection has a client_id of its own (CLT-5).
  const socket = new WebSocket(`${url}/${randomUUID()}`);
  socket.on("open", () =>
    socket.send(JSON.stringify({ type: "subscribe_investigation", investigation_id: investigationId })),
  );
  socket.on("message", (bytes) => {
    const message = JSON.parse(bytes);
    // Ignore what is not known (CLT-2), and what is broadcast of other investigations (DEL-3).
    if (message.type !== "investigation_update" || message.investigation_id !== investigationId) return;
    const { type, task_id } = message.data;
    show([type, task_id].filter(Boolean).join(" "));
  });
  socket.on("error", (error) => show(`no connection: ${error.message}`));
  return socket;
}
