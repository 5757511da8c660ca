import { fields } from '../service/fields.ts';

/** All dead letters of one cause. */
export type Group = {
  reason: string;
  count: number;
  oldestMs: number | null;
  newestMs: number | null;
  cause: string;
  remedy: string;
  example: { id: string; name: string } | null;
};

export function readGroups(body: unknown): Group[] {
  return fields(body)
    .list('data', (item) => {
      const explanation = item.objectOrNull('explanation');
      const example = item.objectOrNull('example');
      return {
        reason: item.text('reason'),
        count: item.number('count'),
        oldestMs: item.timeOrNull('oldest'),
        newestMs: item.timeOrNull('newest'),
        cause: explanation ? explanation.text('cause') : item.text('explanation'),
        remedy: explanation ? explanation.text('remedy') : item.text('remedy'),
        example: example && { id: example.text('id'), name: example.textOrNull('name') ?? example.text('type') },
      };
    })
    .sort((a, b) => b.count - a.count);
}
