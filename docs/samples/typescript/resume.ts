// Stays connected, and shows each event once: those too that came while there was no connection.
import {
  classify,
  isGap,
  isNegotiatedInvestigationUpdate,
  isNegotiatedSubscriptionConfirmed,
  isPosition,
  isReplayComplete,
  isWelcome,
  type Hello,
  type NegotiatedSubscribeInvestigation,
} from "osint-events";
import { reconnectsAfter } from "osint-events/close-codes";

export function follow(url: string, investigationId: string, show: (line: string) => void): void {
  let last = -1; // the position: the number of the last event that counts
  let token: string | undefined; // resumes from there
  let seen = false; // whether there was a subscription before this one
  let attempts = 0;

  function connect(): void {
    const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
    let replays = false;
    let stable: ReturnType<typeof setTimeout> | undefined;

    /** Moves the position on. Without `replay` none of its fields means anything (NEG-1). */
    function move(to: { seq?: number; token?: string }): void {
      if (replays) [last, token] = [to.seq ?? last, to.token ?? token];
    }

    function receive(message: unknown): void {
      if (isWelcome(message)) {
        replays = message.features.includes("replay");
      } else if (isNegotiatedSubscriptionConfirmed(message) && message.investigation_id === investigationId) {
        if (seen && message.replay?.status !== "complete") {
          show(`events may be missing here (${message.replay?.reason ?? "no replay"})`);
        }
        seen = true;
        move(message);
      } else if (isGap(message) && message.investigation_id === investigationId) {
        show(`events may be missing here (${message.reason})`);
        move(message);
      } else if (isReplayComplete(message) || isPosition(message)) {
        if (message.investigation_id === investigationId) move(message);
      } else if (isNegotiatedInvestigationUpdate(message) && message.investigation_id === investigationId) {
        if (replays && (message.seq ?? 0) <= last) return; // a duplicate (RPL-2)
        if (replays && (message.prev ?? 0) > last) return socket.close(4000); // a loss: resume from before it
        move(message);
        show(classify(message.data).kind ?? "unknown");
      }
    }

    socket.onopen = () => {
      stable = setTimeout(() => (attempts = 0), 20_000);
      // Both at once: a server of part 1 ignores the hello, and what it does not know of the subscribe.
      const hello: Hello = { type: "hello", protocol: 1, features: ["replay"] };
      const subscribe: NegotiatedSubscribeInvestigation = {
        type: "subscribe_investigation",
        investigation_id: investigationId,
        ...(token && { replay_token: token }),
      };
      socket.send(JSON.stringify(hello));
      socket.send(JSON.stringify(subscribe));
    };
    socket.onmessage = ({ data }) => receive(JSON.parse(data));
    socket.onclose = ({ code }) => {
      clearTimeout(stable);
      // After any other code a client stops: it would only be refused again (CLT-4).
      if (!reconnectsAfter(code)) return show(`ended with ${code}`);
      // Full jitter: else all clients of a server that restarts come back at the same moment (CLT-4).
      const ceiling = Math.min(20_000, 500 * 2 ** attempts++);
      setTimeout(connect, Math.random() * ceiling);
    };
  }
  connect();
}
