// Stays connected, and shows each event once: those too that came while there was no connection.
import { classify } from "osint-events";

// After any other code a client stops: it would only be refused again.
const comesBackAfter = (code) =>
  [1001, 1006, 1011, 1012, 1013].includes(code) || (code >= 4000 && code <= 4499);

export function follow(url, investigationId, show) {
  let last; // the position: the number of the last event that counts
  let token; // resumes from there
  let seen = false; // whether there was a subscription before this one
  let attempts = 0;

  function connect() {
    const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
    let replays = false;
    let stable;
    socket.onopen = () => {
      stable = setTimeout(() => (attempts = 0), 20_000);
      // Both at once: a server of part 1 ignores the hello, and what it does not know of the subscribe.
      socket.send(JSON.stringify({ type: "hello", protocol: 1, features: ["replay"] }));
      socket.send(
        JSON.stringify({
          type: "subscribe_investigation",
          investigation_id: investigationId,
          ...(token && { replay_token: token }),
        }),
      );
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "welcome") replays = message.features.includes("replay");
      if (message.investigation_id !== investigationId) return;
      const move = () => replays && ({ seq: last, token } = message);
      switch (message.type) {
        case "subscription_confirmed":
          if (seen && message.replay?.status !== "complete") {
            show(`events may be missing here (${message.replay?.reason ?? "no replay"})`);
          }
          seen = true;
          return move();
        case "gap":
          show(`events may be missing here (${message.reason})`);
          return move();
        case "replay_complete":
        case "position":
          return move();
        case "investigation_update":
          if (replays && message.seq <= last) return; // a duplicate (RPL-2)
          if (replays && message.prev > last) return socket.close(4000); // a loss: resume from before it
          move();
          return show(classify(message.data).kind ?? "unknown");
      }
    };
    socket.onclose = ({ code }) => {
      clearTimeout(stable);
      if (!comesBackAfter(code)) return show(`ended with ${code}`);
      // Full jitter: else all clients of a server that restarts come back at the same moment (CLT-4).
      const ceiling = Math.min(20_000, 500 * 2 ** attempts++);
      setTimeout(connect, Math.random() * ceiling);
    };
  }
  connect();
}
