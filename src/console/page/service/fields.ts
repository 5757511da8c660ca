/**
 * Reads an answer of the service field by field. What is absent, or of another kind, becomes a blank: a page that is
 * older than the service shows a gap, and does not fail.
 */
export type Fields = {
  text(name: string): string;
  textOrNull(name: string): string | null;
  number(name: string): number;
  numberOrNull(name: string): number | null;
  flag(name: string): boolean;
  /** Milliseconds of an ISO 8601 time. */
  timeOrNull(name: string): number | null;
  object(name: string): Fields;
  objectOrNull(name: string): Fields | null;
  list<T>(name: string, read: (item: Fields) => T): T[];
  raw(name: string): unknown;
};

export function fields(value: unknown): Fields {
  const object = isRecord(value) ? value : {};
  const reader: Fields = {
    text: (name) => reader.textOrNull(name) ?? '',
    textOrNull(name) {
      const found = object[name];
      return typeof found === 'string' ? found : null;
    },
    number: (name) => reader.numberOrNull(name) ?? 0,
    numberOrNull(name) {
      const found = object[name];
      return typeof found === 'number' && Number.isFinite(found) ? found : null;
    },
    flag: (name) => object[name] === true,
    timeOrNull(name) {
      const ms = Date.parse(reader.text(name));
      return Number.isNaN(ms) ? null : ms;
    },
    object: (name) => fields(object[name]),
    objectOrNull: (name) => (isRecord(object[name]) ? fields(object[name]) : null),
    list(name, read) {
      const found = object[name];
      return Array.isArray(found) ? found.map((item) => read(fields(item))) : [];
    },
    raw: (name) => object[name],
  };
  return reader;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
