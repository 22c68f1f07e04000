// Tells what each event is, whoever sent it and however old the sender is.
import { randomUUID } from "node:crypto";
import { classify } from "osint-events";
import { WebSocket } from "ws";

export function follow(url, investigationId, show) {
  const socket = new WebSocket(`${url}/${randomUUID()}`);
  socket.on("open", () =>
    socket.send(JSON.stringify({ type: "subscribe_investigation", investigation_id: investigationId })),
  );
  socket.on("message", (bytes) => {
    const message = JSON.parse(bytes);
    if (message.type !== "investigation_update" || message.investigation_id !== investigationId) return;
    // Not data.type: older senders write data.event, or only a status and a message (LEG-1 to LEG-4).
    const { kind, rule } = classify(message.data);
    switch (kind) {
      case "investigation_started":
        return show(`the investigation runs (${rule})`);
      case "task_completed":
        return show(`task ${message.data.task_id} is done (${rule})`);
      default: // the set of kinds is open, and a kind may be missing
        return show(`${kind ?? "an event of no known kind"} (${rule})`);
    }
  });
  socket.on("error", (error) => show(`no connection: ${error.message}`));
  return socket;
}
