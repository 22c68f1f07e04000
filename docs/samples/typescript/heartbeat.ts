// Notices a connection that is silent because it is dead, and makes another one.
import {
  isInvestigationUpdate,
  isPing,
  isWelcome,
  type NegotiatedClientMessage,
  type SubscribeInvestigation,
} from "osint-events";

export function follow(url: string, investigationId: string, show: (line: string) => void): void {
  const socket = new WebSocket(`${url}/web-${Math.random().toString(36).slice(2)}`);
  const subscribe: SubscribeInvestigation = {
    type: "subscribe_investigation",
    investigation_id: investigationId,
  };
  let interval = 25_000; // silence before the server is asked, in milliseconds
  let timeout = 10_000; // how long it then has to answer
  let granted = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const send = (message: NegotiatedClientMessage): void => socket.send(JSON.stringify(message));

  function alive(): void {
    clearTimeout(timer);
    timer = setTimeout(ask, interval);
  }
  function ask(): void {
    // Browsers cannot send ping frames. A server without heartbeats answers a repeated subscribe (SUB-4).
    send(granted ? { type: "ping", id: "c1" } : subscribe);
    timer = setTimeout(dead, timeout);
  }
  function dead(): void {
    show("silent: connecting again");
    // close() waits for an answer that will not come; nothing of this socket counts any more.
    socket.onmessage = socket.onclose = null;
    socket.close();
    follow(url, investigationId, show);
  }

  socket.onopen = () => {
    send({ type: "hello", protocol: 1, features: ["heartbeat"] });
    send(subscribe);
    alive();
  };
  socket.onmessage = ({ data }) => {
    alive(); // whatever comes is a sign of life
    const message: unknown = JSON.parse(data);
    if (isWelcome(message)) {
      granted = message.features.includes("heartbeat");
      if (message.heartbeat) ({ interval_ms: interval, timeout_ms: timeout } = message.heartbeat);
      alive();
    } else if (isPing(message) && granted) {
      // The server asks too, and closes with 4001 where nothing answers (HB-2).
      send({ type: "pong", id: message.id });
    } else if (isInvestigationUpdate(message) && message.investigation_id === investigationId) {
      show(String(message.data.type));
    }
  };
  socket.onclose = () => clearTimeout(timer); // the recipe for resuming says when to come back
}
