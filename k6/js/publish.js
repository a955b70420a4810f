// Small requests over kept connections while versions are published twice a second: nobody may notice.
import { arrivals, small } from './load.js';

export { handleSummary } from './load.js';

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<3'],
  dropped_iterations: ['count==0'],
});

export default small;
