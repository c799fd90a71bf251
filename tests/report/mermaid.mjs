// Parses the diagrams of Markdown files with Mermaid's own parser, as GitHub and GitLab do.
//   node mermaid.mjs NODE_MODULES FILE...
// Prints one line of JSON for each file: {"file", "nodes", "error"}; nodes is 0 without a diagram.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const modules = path.resolve(process.argv[2]);
const require = createRequire(path.join(modules, "x.js"));
const { JSDOM } = require("jsdom");
const page = new JSDOM("<!doctype html><body></body>");
globalThis.window = page.window;
globalThis.document = page.window.document;
const url = pathToFileURL(path.join(modules, "mermaid/dist/mermaid.core.mjs")).href;
const { default: mermaid } = await import(url);
mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });

for (const file of process.argv.slice(3)) {
  const block = fs.readFileSync(file, "utf8").match(/^```mermaid\n([\s\S]*?)^```$/m);
  const answer = { file, nodes: 0, error: "" };
  if (block) {
    try {
      await mermaid.parse(block[1]);
      const diagram = await mermaid.mermaidAPI.getDiagramFromText(block[1]);
      answer.nodes = diagram.db.getVertices().size;
      answer.labels = [...diagram.db.getVertices().values()].map((vertex) => vertex.text);
    } catch (error) {
      answer.error = String(error).slice(0, 500);
    }
  }
  console.log(JSON.stringify(answer));
}
