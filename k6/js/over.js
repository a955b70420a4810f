// Four clients at ten times what they may: each gets all that is due to it and no more, and refusals are quick.
import { account, arrivals, ask, refuse } from './load.js';

export { handleSummary } from './load.js';

const due = Number(__ENV.DUE);

export const options = arrivals({
  failed: ['count==0'],
  wrong: ['count==0'],
  took: ['p(99)<5'],
  refusal: ['p(99)<5'],
  admitted: [`count>=${Math.ceil(due * 0.98)}`, `count<=${Math.floor(due * 1.02)}`],
  dropped_iterations: ['count==0'],
});

export default function () {
  const [response, one] = ask();
  if (response.status === 429) refuse(response);
  else account(response, (answer) => answer.body === one.body && 'Ratelimit' in answer.headers);
}
