// Clients under their limits while the store answers late, and too late: nobody is refused, nobody waits for long.
import { arrivals, counted } from './load.js';

export { handleSummary } from './load.js';

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<40'],
  dropped_iterations: ['count==0'],
});

export default counted;
