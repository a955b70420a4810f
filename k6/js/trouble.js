// Requests to an upstream in trouble (/faulty/), beside those that nothing happens to.
//
// troubled   how long they took, whatever came of it      refused   those that an open circuit answered
// odd        answers that this trouble does not explain
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { base, milliseconds, steady } from './load.js';

const took = new Trend('troubled', true);
const refused = new Counter('refused');
const odd = new Counter('odd');

// `options` with such requests beside, from the function `troubled` of the script.
export function beside(options) {
  const more = steady(Number(__ENV.TROUBLED_RATE), Number(__ENV.VUS));
  Object.assign(options.scenarios, { troubled: Object.assign(more, { exec: 'troubled' }) });
  return options;
}

// An open circuit says so, and when to come back.
export function open(response) {
  if (response.status !== 503 || response.json('reason') !== 'breaker_open') return false;
  const wait = Number(response.headers['Retry-After']);
  return wait >= 1 && Number.isInteger(wait);
}

export function trouble(explained) {
  const response = http.get(`${base}/faulty/x`, { timeout: '10s' });
  took.add(milliseconds(response));
  if (open(response)) refused.add(1);
  else if (response.status !== 200 && !explained.includes(response.status)) odd.add(1);
}

// Whether one of the services behind /faulty/ that there are has answered.
export function named(response) {
  return __ENV.TARGETS.split(',').includes(response.json('target'));
}
