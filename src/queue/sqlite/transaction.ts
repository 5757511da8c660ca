import type { Database } from './database.ts';

/**
 * One synced transaction, and what it means for the memory: applied after the commit alone, so that a transaction
 * that fails leaves no trace in either.
 */
export type Transaction = {
  begin(): void;
  commit(): void;
  rollback(): void;
  /** Runs once the data is durable; in the order of the calls. */
  afterCommit(effect: () => void): void;
  /** Takes back what the transaction has noted in memory for its own later steps. */
  afterRollback(undo: () => void): void;
  count(state: CountedState, by: number): void;
  totals(): Readonly<Totals>;
};

export type CountedState = 'accepted' | 'delivered' | 'filtered' | 'dead';
type Totals = Record<CountedState, number>;

const states: CountedState[] = ['accepted', 'delivered', 'filtered', 'dead'];
const zero = (): Totals => ({ accepted: 0, delivered: 0, filtered: 0, dead: 0 });

export function createTransaction(db: Database): Transaction {
  const add = db.prepare('UPDATE total SET n = n + ? WHERE name = ?');
  const totals = zero();
  for (const state of states)
    totals[state] = Number(db.prepare('SELECT n FROM total WHERE name = ?').get(state)?.n ?? 0);
  let effects: (() => void)[] = [];
  let undos: (() => void)[] = [];
  let delta = zero();

  function forget(): void {
    effects = [];
    undos = [];
    delta = zero();
  }

  return {
    begin: () => db.exec('BEGIN IMMEDIATE'),
    commit() {
      for (const state of states) if (delta[state] !== 0) add.run(delta[state], state);
      db.exec('COMMIT');
      for (const state of states) totals[state] += delta[state];
      for (const effect of effects) effect();
      forget();
    },
    rollback() {
      try {
        db.exec('ROLLBACK');
      } catch {
        // SQLite has rolled back by itself, as it does when the disk is full.
      }
      for (const undo of undos) undo();
      forget();
    },
    afterRollback: (undo) => void undos.push(undo),
    afterCommit: (effect) => void effects.push(effect),
    count(state, by) {
      delta[state] += by;
    },
    totals: () => totals,
  };
}
