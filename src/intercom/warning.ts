/** Something that Intercom will not show as it was sent: what happened, and what to do about it. */
export type Warning = { code: string; message: string; field?: string };

/** Closed, so that docs/mapping.md can name a remedy for each. */
export type WarningCode =
  | 'amount_conflict'
  | 'amount_negative'
  | 'amount_unreadable'
  | 'attributes_dropped'
  | 'avatar_invalid'
  | 'boolean_unreadable'
  | 'currency_missing'
  | 'currency_unknown'
  | 'date_unreadable'
  | 'dropped_by_rule'
  | 'email_invalid'
  | 'event_name_cut'
  | 'event_name_empty'
  | 'group_id_missing'
  | 'hashed_email'
  | 'hashed_name'
  | 'hashed_phone'
  | 'key_conflict'
  | 'metadata_dropped'
  | 'number_unreadable'
  | 'phone_invalid'
  | 'text_cut';

export type Warn = (code: WarningCode, message: string, field?: string) => void;

/** One list per event, filled by whoever notices. */
export function collectWarnings(): { warnings: (Warning & { code: WarningCode })[]; warn: Warn } {
  const warnings: (Warning & { code: WarningCode })[] = [];
  return {
    warnings,
    warn: (code, message, field) => {
      warnings.push(field === undefined ? { code, message } : { code, message, field });
    },
  };
}

const mostNames = 100;

/** Names for a message; an event of 64 KB can hold thousands. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, mostNames).join(', ');
  return names.length > mostNames ? `${shown} and ${names.length - mostNames} more` : shown;
}
