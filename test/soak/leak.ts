// For `--import`: a service that keeps memory and descriptors for ever, so that the judge has something to find.
import { openSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const kept: unknown[] = [];
if (isMainThread) setInterval(() => kept.push(Buffer.alloc(3_000_000, 1), openSync('/dev/null', 'r')), 100).unref();
