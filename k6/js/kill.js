// Small requests over kept connections while workers are killed with -9: only what is in flight there may fail.
import { arrivals, small } from './load.js';

export { handleSummary } from './load.js';

export const options = arrivals({
  failed: ['count<20'],
  wrong: ['count==0'],
  took: ['p(99)<10'],
  dropped_iterations: ['count==0'],
});

export default small;
