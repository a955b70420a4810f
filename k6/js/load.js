// What all scenarios share: the arrivals, the requests, the metrics, the summary. Values come from k6/drive.py.
//
// failed  answers that are not 200, or none       wrong  answers with another body than the upstream's
// took    connect + send + wait + receive of the others: k6's own http_req_duration leaves connecting out

import exec from 'k6/execution';
import http from 'k6/http';
import { SharedArray } from 'k6/data';
import { Counter, Trend } from 'k6/metrics';

const requests = new SharedArray('requests', () => JSON.parse(open(__ENV.DATA)));
const failed = new Counter('failed');
const wrong = new Counter('wrong');
const took = new Trend('took', true);

const warm = 1000; // ms in which k6 itself is still starting up: counted for failures, not for times

export const base = __ENV.BASE;

export function arrivals(thresholds, more) {
  return Object.assign({
    scenarios: {
      load: {
        executor: 'constant-arrival-rate',
        rate: Number(__ENV.RATE),
        timeUnit: '1s',
        duration: `${__ENV.SECONDS}s`,
        preAllocatedVUs: Number(__ENV.VUS),
        maxVUs: Number(__ENV.VUS),
        gracefulStop: '10s',
      },
    },
    thresholds,
    summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
  }, more || {});
}

export function account(response, right) {
  if (response.status !== 200) {
    failed.add(1);
    return;
  }
  if (exec.instance.currentTestRunDuration > warm) took.add(response.timings.connecting + response.timings.duration);
  if (!right(response)) wrong.add(1);
}

export function small() {
  const one = requests[exec.scenario.iterationInTest % requests.length];
  const response = http.get(base + one.target, { headers: one.headers, timeout: '10s' });
  account(response, (answer) => answer.body === one.body);
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
