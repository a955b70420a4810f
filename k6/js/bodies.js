// Bodies of 1 MB, every other one up and down; both are compared by their SHA-256.
import exec from 'k6/execution';
import http from 'k6/http';
import { sha256 } from 'k6/crypto';
import { account, arrivals, base } from './load.js';

export { handleSummary } from './load.js';

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<100'],
  dropped_iterations: ['count==0'],
});

const body = open(__ENV.BODY, 'b');
const digest = __ENV.DIGEST;

export default function () {
  if (exec.scenario.iterationInTest % 2) {
    const answer = http.get(`${base}/files/1m`, { responseType: 'binary', timeout: '10s' });
    account(answer, (one) => one.body !== null && sha256(one.body, 'hex') === digest);
  } else {
    const params = { headers: { 'Content-Type': 'application/octet-stream' }, timeout: '10s' };
    account(http.post(`${base}/upload/body?digest`, body, params), (one) => one.json('sha256') === digest);
  }
}
