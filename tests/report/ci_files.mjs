// A GitLab CI file against GitLab's own JSON Schema (as gitlab-ci-local carries it).
//   node ci_files.mjs NODE_MODULES FILE       prints "good", or what is wrong
// Hidden jobs (".name") may hold anything; they are judged as the jobs that extend them.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const modules = path.resolve(process.argv[2]);
const require = createRequire(path.join(modules, "x.js"));
const { schema } = await import(pathToFileURL(path.join(modules, "gitlab-ci-local/src/schema/schema.js")));
const Ajv = require("ajv");
const judge = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
const file = require("js-yaml").load(fs.readFileSync(process.argv[3], "utf8"));
const jobs = Object.fromEntries(Object.entries(file).map(([name, job]) => [name.replace(/^\./, ""), job]));
console.log(judge(jobs) ? "good" : JSON.stringify(judge.errors.slice(0, 5)));
