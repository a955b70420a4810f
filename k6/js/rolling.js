// Requests that may be repeated, over four targets that are restarted one after another: nobody may notice.
import http from 'k6/http';
import { account, arrivals, base } from './load.js';
import { named } from './trouble.js';

export { handleSummary } from './load.js';

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<20'],
  dropped_iterations: ['count==0'],
});

export default function () {
  account(http.get(`${base}/faulty/x`, { timeout: '10s' }), named);
}
