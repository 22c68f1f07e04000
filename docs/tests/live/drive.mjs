// Runs a sample's `follow`: node drive.mjs MODULE URL INVESTIGATION
import { pathToFileURL } from "node:url";

const [module, url, investigationId] = process.argv.slice(2);
const { follow } = await import(pathToFileURL(module));
follow(url, investigationId, (line) => console.log(line));
