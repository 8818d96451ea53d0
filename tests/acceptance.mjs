// Judges one run of the demo for tests/acceptance.sh: its exit code, the object that standard output
// ends with, and whether the ledgers agree. Prints one line; a failure prints its reasons below it.
import { readFileSync } from "node:fs";

const [name, code, file] = process.argv.slice(2);
const faults = [];
if (code !== "0") faults.push(code === "124" ? "it did not end in time" : `exit code ${code}`);

/** The object at the end of the text, with nothing but a line feed behind it. */
function lastObject(text) {
  const start = text.startsWith("{") ? 0 : text.lastIndexOf("\n{") + 1;
  try {
    return JSON.parse(text.slice(start));
  } catch {
    faults.push(`standard output does not end with a JSON object: …${text.slice(-200)}`);
    return {};
  }
}

const side = { attempts: 0, sip_finals: {}, answers: 0, connects: 0, hung_up: {}, events: 0 };
const shape = {
  speed: 0,
  attempts: { total: 0, by_result: {} },
  live_answers: 0,
  connected: 0,
  abandoned: 0,
  abandon_rate: 0,
  abandon_limit: 0,
  agent_utilisation: 0,
  answer_to_agent_ms: { p50: 0, p99: 0 },
  crm_events: { posted: 0, delivered: 0 },
  ledgers: { dialer: side, carrier: side, crm: side },
  agree: true,
  mismatches: [],
};

/** Each key of the shape is there and of its kind. */
function hasShape(value, wanted, path) {
  const kind = (it) => (Array.isArray(it) ? "list" : it === null ? "null" : typeof it);
  if (kind(value) !== kind(wanted)) {
    faults.push(`${path} should be a ${kind(wanted)} and is ${JSON.stringify(value)}`);
  } else if (kind(wanted) === "object") {
    for (const key of Object.keys(wanted)) hasShape(value[key], wanted[key], `${path}.${key}`);
  }
}

const report = lastObject(readFileSync(file, "utf8"));
hasShape(report, shape, "report");
if (report.agree !== true) faults.push("the ledgers differ", ...(report.mismatches ?? []));
if (report.attempts?.total < report.contacts) {
  faults.push(`${report.attempts.total} attempts for ${report.contacts} contacts`);
}
if (report.abandon_rate > report.abandon_limit) {
  faults.push(`abandon rate ${report.abandon_rate} is over its limit ${report.abandon_limit}`);
}

const percent = (share) => `${((share ?? NaN) * 100).toFixed(1)} %`;
const ms = (value) => (typeof value === "number" ? value.toFixed(1) : "–");
console.log(
  `${faults.length === 0 ? "ok    " : "FAILED"} ${name.padEnd(20)}`,
  `${(report.took_s ?? NaN).toFixed(0).padStart(4)} s,`,
  `${report.attempts?.total} attempts, ${report.live_answers} answered,`,
  `${report.connected} connected, ${report.abandoned} abandoned (${percent(report.abandon_rate)}),`,
  `agents ${percent(report.agent_utilisation)} busy,`,
  `answer to agent ${ms(report.answer_to_agent_ms?.p50)} / ${ms(report.answer_to_agent_ms?.p99)} ms`,
);
for (const fault of faults) console.log(`    ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
