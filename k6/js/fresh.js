// Every request on a connection of its own: accepting, and closing in order, is what this asks for.
import { arrivals, small } from './load.js';

export { handleSummary } from './load.js';

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<10'],
  dropped_iterations: ['count==0'],
}, { noConnectionReuse: true });

export default small;
