// usage: node schema_peers.js FOLDER_OF_NODE_MODULES SCHEMA NDJSON SECONDS
// Prints MB/s with JSON.parse, MB/s without it, and how many of how many records pass.
const fs = require("fs");
const [modules, schemaPath, linesPath, seconds] = process.argv.slice(2);
const Ajv2020 = require(modules + "/ajv/dist/2020");
const Ajv = require(modules + "/ajv");

const schema = JSON.parse(fs.readFileSync(schemaPath, "utf8"));
const old = (schema.$schema || "").includes("draft-07");
const validate = new (old ? Ajv : Ajv2020)({ strict: false, validateFormats: false, logger: false })
  .compile(schema);
const text = fs.readFileSync(linesPath);
const lines = text.toString("utf8").split("\n").filter((line) => line);
const parsed = lines.map((line) => JSON.parse(line));

function best(pass) {
  let rate = 0;
  const begin = process.hrtime.bigint();
  do {
    const start = process.hrtime.bigint();
    pass();
    rate = Math.max(rate, (text.length * 1e3) / Number(process.hrtime.bigint() - start));
  } while (Number(process.hrtime.bigint() - begin) < seconds * 1e9);
  return rate;
}

let passed = 0;
const whole = best(() => {
  passed = 0;
  for (const line of lines) passed += validate(JSON.parse(line)) ? 1 : 0;
});
const alone = best(() => {
  for (const value of parsed) validate(value);
});
console.log(whole.toFixed(1), alone.toFixed(1), passed, lines.length);
