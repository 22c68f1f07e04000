// Stays connected, and shows each event once: those too that came while there was no connection.
import { randomUUID } from "node:crypto";
import { classify } from "osint-events";
import { WebSocket } from "ws";

// After any other code a client stops: it would only be refused again.
const comesBackAfter = (code) =>
  [1001, 1006, 1011, 1012, 1013].includes(code) || (code >= 4000 && code <= 4499);

export function follow(url, investigationId, show) {
  let last; // the position: the number of the last event that counts
  let token; // resumes from there; keep it in a file, and a restart of the program loses nothing either
  let seen = false; // whether there was a subscription before this one
  let attempts = 0;

  function connect() {
    const socket = new WebSocket(`${url}/${randomUUID()}`);
    let replays = false;
    let stable;
    socket.on("open", () => {
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
    });
    socket.on("message", (bytes) => {
      const message = JSON.parse(bytes);
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
    });
    socket.on("error", (error) => console.error(error.message)); // "close" follows
    socket.on("close", (code) => {
      clearTimeout(stable);
      if (!comesBackAfter(code)) return show(`ended with ${code}`);
      // Full jitter: else all clients of a server that restarts come back at the same moment (CLT-4).
      const ceiling = Math.min(20_000, 500 * 2 ** attempts++);
      setTimeout(connect, Math.random() * ceiling);
    });
  }
  connect();
}
