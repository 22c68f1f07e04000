/** What a message is, and whether the schemas of the contract accept it. No I/O. */

import { isUsed, used } from "./contract/features.js";
import { classify } from "./contract/index.js";
import { SCHEMA_OF, validate } from "./contract/validate.js";

/**
 * @typedef {import("./contract/validate.js").Failure} Failure
 * @typedef {import("./contract/validate.js").SchemaName} SchemaName
 * @typedef {"valid" | "invalid" | "ignored"} Verdict
 *
 * @typedef {object} Inspected
 * @property {string} text the message as it went over the wire
 * @property {{ [field: string]: any } | null} message what is used of it; null where it is malformed or ignored
 * @property {string | null} type its type, where it has one
 * @property {Verdict} verdict of the message; ignored: its type is not known on this connection
 * @property {SchemaName | null} schema what it was held against
 * @property {Failure[]} failures why it is invalid
 * @property {string[]} unused fields of capabilities that are not used here (NEG-1)
 * @property {Payload | null} payload of an update
 *
 * @typedef {object} Payload
 * @property {string | null} kind what happened, by the legacy rules; null where it is unknown
 * @property {string} rule the clause that says so
 * @property {Failure[]} failures why no publisher should have written it (EVT-2 to EVT-4)
 */

/**
 * Looks at a message of the server.
 * @param {unknown} data a text, or what a binary frame holds
 * @param {ReadonlySet<string>} features what is used on the connection: none on one of part 1
 * @param {boolean} greeted whether a hello was said, which a welcome may answer
 * @returns {Inspected}
 */
export function inspect(data, features, greeted) {
  return look(data, features, (type) => {
    const negotiated = features.size > 0 || (greeted && type === "welcome");
    return SCHEMA_OF[negotiated ? "NegotiatedServerMessage" : "ServerMessage"][type];
  });
}

/**
 * Looks at a message of this client.
 * @param {string} text
 * @param {ReadonlySet<string>} features
 * @returns {Inspected}
 */
export function inspectSent(text, features) {
  // What is pipelined behind the hello may already be what only a welcome grants (NEG-2).
  return look(text, null, (type) => {
    const schema = SCHEMA_OF.NegotiatedClientMessage[type];
    return features.size === 0 ? (SCHEMA_OF.ClientMessage[type] ?? schema) : schema;
  });
}

/**
 * @param {unknown} data
 * @param {ReadonlySet<string> | null} features null: all fields are used
 * @param {(type: string) => SchemaName | undefined} schemaOf
 * @returns {Inspected}
 */
function look(data, features, schemaOf) {
  /** @type {Inspected} */
  const found = {
    text: typeof data === "string" ? data : "(a binary frame)",
    message: null,
    type: null,
    verdict: "invalid",
    schema: null,
    failures: [],
    unused: [],
    payload: null,
  };
  const value = parsed(data, found);
  if (value === undefined) return found;
  found.type = value.type;
  const schema = features === null || isUsed(value.type, features) ? schemaOf(value.type) : undefined;
  if (schema === undefined) return { ...found, verdict: "ignored" };
  const message = features === null ? value : used(value, features);
  found.schema = schema;
  found.unused = Object.keys(value).filter((name) => !Object.hasOwn(message, name));
  found.failures = validate(schema, message);
  if (found.failures.length > 0) return found;
  if (value.type === "investigation_update") found.payload = payload(value);
  return { ...found, verdict: "valid", message };
}

/**
 * @param {unknown} data
 * @param {Inspected} found
 * @returns {{ [field: string]: any } | undefined}
 */
function parsed(data, found) {
  /** @param {string} keyword @param {string} message @param {string} [path] */
  const failed = (keyword, message, path = "") => void found.failures.push({ path, keyword, message });
  if (typeof data !== "string") return failed("MSG-1", "must be a text frame");
  let value;
  try {
    value = JSON.parse(data);
  } catch (error) {
    return failed("MSG-1", `must be JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return failed("MSG-1", "must be an object");
  }
  if (typeof value.type !== "string") return failed("MSG-1", "must be a string", "/type");
  return value;
}

/** @param {{ [field: string]: any }} update @returns {Payload} */
function payload({ data, investigation_id: id }) {
  const failures = validate("event", data);
  if (typeof data.investigation_id === "string" && data.investigation_id !== id) {
    const message = "must be the id of the message around it";
    failures.push({ path: "/investigation_id", keyword: "EVT-2", message });
  }
  return { ...classify(data), failures };
}
