// Honest clients beside one address that sends tokens with wrong signatures, each another one. For comparison the
// flood is also sent past the gateway (FLOOD_BASE is then the upstream): the same work for k6, none for the gateway.
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter } from 'k6/metrics';
import { arrivals, base, counted, refuse, steady } from './load.js';

export { handleSummary } from './load.js';

const rate = Number(__ENV.FLOOD_RATE);
const aim = __ENV.FLOOD_BASE;
const [signed, signature] = JSON.parse(open(__ENV.FLOOD_TOKEN));
const passed = new Counter('passed'); // let in without a right signature
const denied = new Counter('denied'); // 401; the rest of the flood is 429
const odd = new Counter('odd'); // neither

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<5'],
  passed: ['count==0'],
  odd: ['count==0'],
  dropped_iterations: ['count==0'],
});
if (rate) options.scenarios.flood = Object.assign(steady(rate, Number(__ENV.VUS)), { exec: 'flood' });

// The first 12 characters of the signature count the arrivals; so no two are the same, and all have the right length.
function forged() {
  if (__ENV.FLOOD_RIGHT === '1') return `${signed}.${signature}`;
  const number = String(exec.scenario.iterationInTest).padStart(12, 'A');
  return `${signed}.${number}${signature.slice(12)}`;
}

export function flood() {
  const headers = { Authorization: `Bearer ${forged()}`, 'X-Forwarded-For': '198.51.100.66' };
  const response = http.get(`${aim}/api/v1/items/1/detail`, { headers, timeout: '10s' });
  if (aim !== base) return;
  if (response.status === 429) refuse(response);
  else if (response.status === 401) denied.add(1);
  else if (response.status === 200) passed.add(1);
  else odd.add(1);
}

export default counted;
