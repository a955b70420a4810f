// Small requests beside an upstream that resets half of its connections, now before an answer and now within it.
import { arrivals, small } from './load.js';
import { beside, trouble } from './trouble.js';

export { handleSummary } from './load.js';

export const options = beside(arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<10'],
  troubled: ['p(99)<100'],
  odd: ['count==0'],
  dropped_iterations: ['count==0'],
}));

// 0: cut within an answer of which the client has got a part already.
export function troubled() {
  trouble([0, 502]);
}

export default small;
