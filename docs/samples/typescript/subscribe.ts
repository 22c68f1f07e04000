// Shows what happens to one investigation, with any server.
import { isInvestigationUpdate, type SubscribeInvestigation } from "osint-events";

export function follow(url: string, investigationId: string, show: (line: string) => void): WebSocket {
  // Each connection has a client_id of its own, so each tab does (CLT-5).
  const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
  socket.onopen = () => {
    const subscribe: SubscribeInvestigation = {
      type: "subscribe_investigation",
      investigation_id: investigationId,
    };
    socket.send(JSON.stringify(subscribe));
  };
  socket.onmessage = ({ data }) => {
    const message: unknown = JSON.parse(data);
    // Ignore what is not known (CLT-2), and what is broadcast of other investigations (DEL-3).
    if (!isInvestigationUpdate(message) || message.investigation_id !== investigationId) return;
    const { type, task_id } = message.data;
    show([type, task_id].filter(Boolean).join(" "));
  };
  return socket;
}
