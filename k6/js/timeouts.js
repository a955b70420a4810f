// Small requests beside an upstream that never answers: only its own callers may notice, and wait no longer than said.
import { arrivals, small } from './load.js';
import { beside, trouble } from './trouble.js';

export { handleSummary } from './load.js';

export const options = beside(arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<10'],
  troubled: ['max<1400'],
  odd: ['count==0'],
  dropped_iterations: ['count==0'],
}));

export function troubled() {
  trouble([504]);
}

export default small;
