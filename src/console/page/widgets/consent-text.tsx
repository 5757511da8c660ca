import type { Consent } from '../service/event.ts';

const forms: Record<string, string> = {
  canonical: "Signal's canonical consent",
  categories: "the consent banner's categories",
  flat: 'the consent object',
  google: 'Google Consent Mode',
};

/** The decision with what it rests on, in a sentence. */
export function ConsentText({ consent: { granted, category, form, key, value } }: { consent: Consent }) {
  if (form === 'absent')
    return (
      <>
        The event carries no consent. By <code>CONSENT_WHEN_ABSENT</code> such events are{' '}
        {granted ? 'sent' : 'not sent'}; it would need <b>{category}</b> consent.
      </>
    );
  if (form === 'invalid')
    return (
      <>
        What stands in the event as consent can't be read, and counts as not given: <code>{JSON.stringify(value)}</code>
      </>
    );
  return (
    <>
      It needs <b>{category}</b> consent. In {forms[form] ?? form}{' '}
      {key === null ? (
        'nothing is said of it, which counts as not given.'
      ) : (
        <>
          <code>{key}</code> is <code>{JSON.stringify(value)}</code>.
        </>
      )}
    </>
  );
}
