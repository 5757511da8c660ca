/** What happened and what to do, for every reason that an event can end or wait with. */
export type Explanation = { cause: string; remedy: string };

const explanations: Record<string, Explanation> = {
  consent_functional: {
    cause: 'the event needs functional consent, and the person has not given it',
    remedy:
      "nothing, if that is the person's choice; else map your banner's category in Signal under Settings > Consent",
  },
  consent_marketing: {
    cause: 'the event needs marketing consent, and the person has not given it',
    remedy: "nothing, if that is the person's choice; CONSENT_CATEGORY and MARKETING_EVENTS say which events need it",
  },
  consent_revoked: {
    cause: 'the person withdrew the consent before the event was sent',
    remedy: 'nothing: it must not be sent any more',
  },
  mapping_dropped: {
    cause: 'the mapping file drops this event',
    remedy: 'change the rule in MAPPING_FILE if it should be sent',
  },
  no_identifier: {
    cause: 'the event has neither a userId nor an email, so that Intercom could not know whose it is',
    remedy: 'send userId or traits.email, or set ANONYMOUS_EVENTS=hold',
  },
  never_identified: {
    cause: 'the visitor did not log in while the event was held',
    remedy: 'raise ANONYMOUS_HOLD_HOURS if logins come later',
  },
  installation_removed: {
    cause: 'the installation was removed while the event waited for it, and its events were to be discarded',
    remedy: 'nothing: install the workspace again if its events are wanted',
  },
  database_damaged: {
    cause: 'the database was damaged, and whether Intercom has the event is not known any more',
    remedy: "look at the person's timeline in Intercom; redrive the event if it is missing there",
  },
  invalid_request: {
    cause: 'Intercom refused the request; its answer stands with the attempt',
    remedy: 'correct what the answer names (in Signal, or in MAPPING_FILE), then redrive',
  },
  not_restorable: {
    cause: 'the contact was deleted or merged in Intercom, and its external_id is still locked',
    remedy: 'Intercom frees the id of a deleted contact after about 7 days: redrive then, or use another userId',
  },
  event_name_quota: {
    cause: 'the workspace has its 120 active event names',
    remedy:
      'archive names in Intercom under Settings > Data > Events, or map several to one (EVENT_NAMING, MAPPING_FILE), then redrive',
  },
  ambiguous_email: {
    cause: 'several Intercom users have this email',
    remedy: 'send the userId with the event, or merge the users in Intercom, then redrive',
  },
  attribute_quota: {
    cause: 'the workspace has its 250 custom attributes',
    remedy: 'archive attributes in Intercom under Settings > Data, then redrive',
  },
  company_limit: {
    cause: 'the contact is attached to 1,000 companies, the most that Intercom allows',
    remedy: 'detach companies in Intercom, then redrive',
  },
  unexpected_answer: {
    cause: 'Intercom answered what this service does not understand',
    remedy: 'report the attempt, then redrive',
  },
  expired: {
    cause: 'Intercom did not take the event within RETRY_MAX_AGE_HOURS; the last answer stands with the attempt',
    remedy: 'redrive once Intercom is well',
  },
  bug: {
    cause: 'this service failed on the event; the attempt has the details',
    remedy: 'report it, upgrade, then redrive',
  },
};

export function explain(reason: string | null): Explanation | null {
  return reason === null ? null : (explanations[reason] ?? null);
}

export const explainedReasons: ReadonlySet<string> = new Set(Object.keys(explanations));
