/**
 * An erasure takes keys away from a person, and nobody may resolve a key meanwhile: it excludes everyone who does.
 * Held until the end of the transaction.
 */
export const shareKeys = 'SELECT pg_advisory_xact_lock_shared(7316, 1)';
export const ownKeys = 'SELECT pg_advisory_xact_lock(7316, 1)';
/** One replica at a time forgets; the others have nothing to do meanwhile. */
export const tryToTidy = 'SELECT pg_try_advisory_xact_lock(7316, 2) AS "isMine"';
