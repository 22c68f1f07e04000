// Keeps up with a busy investigation: shows less while it is behind, and waits where it asked too fast.
import {
  isBackpressure,
  isError,
  isInvestigationUpdate,
  type NegotiatedSubscribeInvestigation,
} from "osint-events";
import { CLOSE_CODES } from "osint-events/close-codes";

export function follow(url: string, investigationId: string, show: (line: string) => void): void {
  const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
  const waiting = new Map<string, string>(); // while behind: the newest line of each task
  let behind = false;

  function subscribe(): void {
    const message: NegotiatedSubscribeInvestigation = {
      type: "subscribe_investigation",
      investigation_id: investigationId,
      ref: "s1",
    };
    socket.send(JSON.stringify(message));
  }

  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "hello", protocol: 1, features: ["flow"] }));
    subscribe();
  };
  socket.onmessage = ({ data }) => {
    const message: unknown = JSON.parse(data);
    if (isBackpressure(message)) {
      // high at half of the server's queue for us, normal at a quarter (FLW-1)
      behind = message.state === "high";
      if (!behind) waiting.forEach((line) => show(line));
      waiting.clear();
    } else if (isError(message) && message.ref === "s1" && message.temporary) {
      // too many messages in a short time: this one was not carried out (FLW-3)
      setTimeout(subscribe, message.retry_after_ms ?? 1000);
    } else if (isInvestigationUpdate(message) && message.investigation_id === investigationId) {
      const { task_id, progress } = message.data;
      const line = `${task_id} ${Math.round(Number(progress) * 100)} %`;
      // Handing a message on is cheap, drawing is not: so the socket is read on, and less is drawn.
      if (behind) waiting.set(String(task_id), line);
      else show(line);
    }
  };
  socket.onclose = ({ code }) => show(code === CLOSE_CODES.SLOW_CONSUMER ? "too slow: resume by token" : `ended with ${code}`);
}
