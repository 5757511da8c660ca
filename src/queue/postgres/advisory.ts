/**
 * An erasure takes keys away from a person, and nobody may resolve a key meanwhile: it excludes everyone who does.
 * Held until the end of the transaction.
 */
export const shareKeys = 'SELECT pg_advisory_xact_lock_shared(7316, 1)';
export const ownKeys = 'SELECT pg_advisory_xact_lock(7316, 1)';
