// Shows the tasks of an investigation, and leaves the rest on the server where that can.
import { classify } from "osint-events";

// As a server with scopes has it: what is not of the whole is of its tasks (SCP-1).
function isOfTasks(data) {
  return !classify(data).kind?.startsWith("investigation_");
}

export function follow(url, investigationId, show) {
  const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
  let scoped = false;
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "hello", protocol: 1, features: ["scopes"] }));
    // Subscribing again with another scope switches, without a loss (SCP-3).
    socket.send(
      JSON.stringify({
        type: "subscribe_investigation",
        investigation_id: investigationId,
        scope: ["tasks"],
      }),
    );
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "welcome") scoped = message.features.includes("scopes");
    if (message.type !== "investigation_update" || message.investigation_id !== investigationId) return;
    if (scoped || isOfTasks(message.data)) show(classify(message.data).kind ?? "unknown");
  };
  return socket;
}
