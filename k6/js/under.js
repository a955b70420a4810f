// Clients with tokens, all under their limits: nothing may be refused. nginx passes the same requests plainly.
import { arrivals, counted, small } from './load.js';

export { handleSummary } from './load.js';

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<5'],
  dropped_iterations: ['count==0'],
});

export default __ENV.LIMITS === '1' ? counted : small;
