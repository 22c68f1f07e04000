// Keeps up with a busy investigation: shows less while it is behind, and waits where it asked too fast.

export function follow(url, investigationId, show) {
  const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
  const waiting = new Map(); // while behind: the newest line of each task
  let behind = false;

  function subscribe() {
    socket.send(
      JSON.stringify({ type: "subscribe_investigation", investigation_id: investigationId, ref: "s1" }),
    );
  }

  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "hello", protocol: 1, features: ["flow"] }));
    subscribe();
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
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
        // Handing a message on is cheap, drawing is not: so the socket is read on, and less is drawn.
        return behind ? waiting.set(task_id, line) : show(line);
      }
    }
  };
  socket.onclose = ({ code }) => show(code === 4002 ? "too slow: resume by token" : `ended with ${code}`);
}
