import type { Stage } from './processes.ts';
import type { Report } from './report.ts';

/** What a scenario is given. */
export type Bench = {
  stage: Stage;
  report: Report;
  /** Fewer and shorter rounds: to see that all runs, not to compare with targets. */
  quick: boolean;
};
