// Validates what comes on standard input, a JSON array [schema, text] on each line, and answers each with the
// failures that the npm package finds. OSINT_EVENTS_PACKAGE: the package's directory.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const directory = pathToFileURL(`${process.env.OSINT_EVENTS_PACKAGE}/`);
const { validate } = await import(new URL("validate.js", directory));

for await (const line of createInterface({ input: process.stdin })) {
  const [schema, text] = JSON.parse(line);
  console.log(JSON.stringify(validate(schema, JSON.parse(text))));
}
