// Notices a connection that is silent because it is dead, and makes another one.

export function follow(url, investigationId, show) {
  const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
  const subscribe = { type: "subscribe_investigation", investigation_id: investigationId };
  let interval = 25_000; // silence before the server is asked, in milliseconds
  let timeout = 10_000; // how long it then has to answer
  let granted = false;
  let timer;

  function alive() {
    clearTimeout(timer);
    timer = setTimeout(ask, interval);
  }
  function ask() {
    // Browsers cannot send ping frames. A server without heartbeats answers a repeated subscribe (SUB-4).
    socket.send(JSON.stringify(granted ? { type: "ping", id: "c1" } : subscribe));
    timer = setTimeout(dead, timeout);
  }
  function dead() {
    show("silent: connecting again");
    // close() waits for an answer that will not come; nothing of this socket counts any more.
    socket.onmessage = socket.onclose = null;
    socket.close();
    follow(url, investigationId, show);
  }

  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "hello", protocol: 1, features: ["heartbeat"] }));
    socket.send(JSON.stringify(subscribe));
    alive();
  };
  socket.onmessage = ({ data }) => {
    alive(); // whatever comes is a sign of life
    const message = JSON.parse(data);
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
  };
  socket.onclose = () => clearTimeout(timer); // the recipe for resuming says when to come back
}
