// An upstream that fails and comes back: what its callers get while its circuit is closed, open, half-open, closed.
//
// failing   what it answered itself, or a gateway in its place, while it failed
import http from 'k6/http';
import { Trend } from 'k6/metrics';
import { account, arrivals, base, failed, milliseconds, refusal, slots, slotted } from './load.js';
import { named, open } from './trouble.js';

export { handleSummary } from './load.js';

const failing = new Trend('failing', true);

export const options = arrivals(Object.assign(slots('refusal'), slots('failing'), {
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<400'],
  refusal: ['p(99)<5'],
  dropped_iterations: ['count==0'],
}));

export default function () {
  const response = http.get(`${base}/faulty/x`, { timeout: '10s' });
  const time = milliseconds(response);
  if (response.status === 200) account(response, named);
  else if (open(response)) refusal.add(time, slotted(time));
  else if (response.status === 503) failing.add(time, slotted(time));
  else failed.add(1);
}
