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

// In microseconds.
function cpuTime() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function best(pass) {
  let rate = 0;
  const begin = cpuTime();
  do {
    const start = cpuTime();
    pass();
    rate = Math.max(rate, text.length / (cpuTime() - start));
  } while (cpuTime() - begin < seconds * 1e6);
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
