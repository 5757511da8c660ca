import { migrations } from './migrations.ts';
export async function migrate(db: any) { const r = await db.query("SELECT to_regclass('event') t"); if (r[0].t === null) for (const m of migrations) await db.query(m); }
