// What all scenarios share: the arrivals, the requests, the metrics, the summary. Values come from k6/drive.py.
//
// failed   answers that are not 200, or none      wrong    answers with another body than the upstream's
// took     connect + send + wait + receive of the others: k6's own http_req_duration leaves connecting out
// refusal  the same of refusals, where a scenario expects some

import exec from 'k6/execution';
import http from 'k6/http';
import { SharedArray } from 'k6/data';
import { Counter, Gauge, Trend } from 'k6/metrics';

const requests = new SharedArray('requests', () => JSON.parse(open(__ENV.DATA)));
export const failed = new Counter('failed');
export const wrong = new Counter('wrong');
const took = new Trend('took', true);
const admitted = new Counter('admitted');
export const refusal = new Trend('refusal', true);
const began = new Gauge('began'); // wall clock in ms when the first slot began

const warm = 1000; // ms in which k6 itself is still starting up: counted for failures, not for times
const slotLength = 100; // ms, as in k6/timeline.py
const timed = __ENV.SLOTS === '1';

export const base = __ENV.BASE;

export function arrivals(thresholds, more) {
  return Object.assign({
    scenarios: { load: steady(Number(__ENV.RATE), Number(__ENV.VUS)) },
    thresholds: timed ? Object.assign(slots(), thresholds) : thresholds,
    summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max', 'count'],
  }, more || {});
}

export function steady(rate, users) {
  return {
    executor: 'constant-arrival-rate',
    rate,
    timeUnit: '1s',
    duration: `${__ENV.SECONDS}s`,
    preAllocatedVUs: users,
    maxVUs: users,
    gracefulStop: '10s',
  };
}

// A threshold without a bound makes k6 sum up the values with that tag on their own.
export function slots(name = 'took') {
  const found = {};
  const count = Number(__ENV.SECONDS) * 1000 / slotLength;
  for (let slot = 0; slot < count; slot += 1) found[`${name}{slot:${slot}}`] = [];
  return found;
}

// The tag of the stretch in which a request began that has just ended, after `time` ms.
export function slotted(time) {
  const now = exec.instance.currentTestRunDuration;
  if (exec.scenario.iterationInTest < 100) began.add(Date.now() - now);
  return { slot: String(Math.floor((now - time) / slotLength)) };
}

export function milliseconds(response) {
  return response.timings.connecting + response.timings.duration;
}

export function account(response, right) {
  if (response.status !== 200) {
    failed.add(1);
    return;
  }
  const time = milliseconds(response);
  if (timed) took.add(time, slotted(time));
  else if (exec.instance.currentTestRunDuration > warm) took.add(time);
  admitted.add(1);
  if (!right(response)) wrong.add(1);
}

// A refusal names the limit, and says when to come back.
export function refuse(response) {
  refusal.add(milliseconds(response));
  const wait = Number(response.headers['Retry-After']);
  const told = wait >= 1 && Number.isInteger(wait) && 'Ratelimit' in response.headers;
  if (!told || response.json('reason') !== 'rate_limited') wrong.add(1);
}

export function ask() {
  const one = requests[exec.scenario.iterationInTest % requests.length];
  return [http.get(base + one.target, { headers: one.headers, timeout: '10s' }), one];
}

export function small() {
  const [response, one] = ask();
  account(response, (answer) => answer.body === one.body);
}

// The upstream's answer, and where the client stands with its limits.
export function counted() {
  const [response, one] = ask();
  account(response, (answer) => answer.body === one.body && 'Ratelimit' in answer.headers);
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
