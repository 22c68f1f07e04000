// Prints what the official AsyncAPI parser has to say about a document, as JSON: [{code, message, path}].
// Usage: node diagnostics.mjs ASYNCAPI_FILE
import { readFile } from "node:fs/promises";

import { Parser } from "@asyncapi/parser";

const [file] = process.argv.slice(2);
const diagnostics = await new Parser().validate(await readFile(file, "utf8"), { source: file });
console.log(JSON.stringify(diagnostics.map(({ code, message, path }) => ({ code, message, path }))));
