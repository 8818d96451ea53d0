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
    return null;
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
if (report) judge();

/** What is wrong with a run that said something. */
function judge() {
  hasShape(report, shape, "report");
  if (report.agree !== true) faults.push("the ledgers differ", ...(report.mismatches ?? []));
  if (report.attempts?.total < report.contacts) {
    faults.push(`${report.attempts.total} attempts for ${report.contacts} contacts`);
  }
  if (report.abandon_rate > report.abandon_limit) {
    faults.push(`abandon rate ${report.abandon_rate} is over its limit ${report.abandon_limit}`);
  }
}

const percent = (share) => `${(share * 100).toFixed(1)} %`;
const ms = (value) => (typeof value === "number" ? value.toFixed(1) : "–");
const verdict = faults.length === 0 ? "ok    " : "FAILED";
if (report?.attempts && report.answer_to_agent_ms) {
  const { took_s, attempts, live_answers, connected, abandoned, answer_to_agent_ms } = report;
  console.log(
    `${verdict} ${name.padEnd(20)} ${took_s.toFixed(0).padStart(4)} s,`,
    `${attempts.total} attempts, ${live_answers} answered, ${connected} connected,`,
    `${abandoned} abandoned (${percent(report.abandon_rate)}),`,
    `agents ${percent(report.agent_utilisation)} busy,`,
    `answer to agent ${ms(answer_to_agent_ms.p50)} / ${ms(answer_to_agent_ms.p99)} ms`,
  );
} else {
  console.log(`${verdict} ${name}`);
}
for (const fault of faults) console.log(`    ${fault}`);
process.exit(faults.length === 0 ? 0 : 1);
