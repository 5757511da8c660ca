/** The vendor as Signal's integration catalog describes one (Management API, "Integration catalog"). */
export const intercomVendor = {
  key: 'intercom',
  name: 'Intercom',
  description:
    'Contacts and timeline events in Intercom: identify makes and updates contacts, page and track become events, group becomes companies.',
  category: 'other',
  status: 'ga',
  website: 'https://www.intercom.com',
  config_fields: [
    {
      key: 'access_token',
      label: 'Access Token',
      type: 'secret',
      required: true,
      placeholder: 'dG9rOi…',
      help_text:
        'In Intercom: Settings > Integrations > Developer Hub > your app > Configure > Authentication. The app needs to read and write users, companies and events.',
    },
    {
      key: 'region',
      label: 'Region',
      type: 'select',
      required: true,
      options: [
        { value: 'us', label: 'United States (api.intercom.io)' },
        { value: 'eu', label: 'Europe (api.eu.intercom.io)' },
        { value: 'au', label: 'Australia (api.au.intercom.io)' },
      ],
      placeholder: 'us',
      help_text: 'Where the workspace is hosted; a token works in its own region only.',
    },
  ],
  variants: [
    {
      key: 'default',
      name: 'Default',
      description: 'Server-side delivery with functional consent.',
      default_config: { region: 'us' },
    },
  ],
} as const;
