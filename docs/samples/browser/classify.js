// Tells what each event is, whoever sent it and however old the sender is.
import { classify } from "osint-events";

export function follow(url, investigationId, show) {
  const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
  socket.onopen = () =>
    socket.send(JSON.stringify({ type: "subscribe_investigation", investigation_id: investigationId }));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
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
  };
  return socket;
}
