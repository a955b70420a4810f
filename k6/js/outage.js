// Clients under their limits while the store is stopped, continued, killed and started again: nobody may notice.
import { arrivals, counted } from './load.js';

export { handleSummary } from './load.js';

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<10'],
  dropped_iterations: ['count==0'],
});

export default counted;
