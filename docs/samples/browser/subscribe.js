// Shows what happens to one investigation, with any server.

export function follow(url, investigationId, show) {
  // Each connection has a client_id of its own, so each tab does (CLT-5).
  const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
  socket.onopen = () =>
    socket.send(JSON.stringify({ type: "subscribe_investigation", investigation_id: investigationId }));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    // Ignore what is not known (CLT-2), and what is broadcast of other investigations (DEL-3).
    if (message.type !== "investigation_update" || message.investigation_id !== investigationId) return;
    const { type, task_id } = message.data;
    show([type, task_id].filter(Boolean).join(" "));
  };
  return socket;
}
