import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { openSqliteQueue } from '../src/queue/sqlite/engine.ts';

// The judge of power-loss.sh: opens the database as the service does after a power cut, and says what became of the
// acknowledged events: `<acknowledged> <lost> <integrity_check>`.

const [path, acknowledgedFile] = process.argv.slice(2);
if (path === undefined || acknowledgedFile === undefined)
  throw new Error('usage: power-loss-judge.ts <database> <file>');
// The last line may have been cut off in the middle of a write.
const acknowledged = readFileSync(acknowledgedFile, 'utf8').split('\n').slice(0, -1);

const queue = await openSqliteQueue({ path });
const { accepted, queued } = await queue.stats();
await queue.close();

const db = new DatabaseSync(path);
const kept = new Set(
  db
    .prepare('SELECT message_id FROM event JOIN job USING (seq)')
    .all()
    .map((row) => row.message_id),
);
const integrity = String(db.prepare('PRAGMA integrity_check').get()?.integrity_check);
db.close();

const lost = acknowledged.filter((messageId) => !kept.has(messageId));
const balance = accepted === kept.size && queued === kept.size ? integrity : 'the ledger does not balance';
process.stdout.write(`${acknowledged.length} ${lost.length} ${balance}\n`);
