import { isSupportedCountry, parsePhoneNumberFromString } from 'libphonenumber-js/min';
import { LRUCache } from 'lru-cache';

/** Parsing takes some 75 µs, more than all the rest of the mapping, and people are identified again and again. */
const known = new LRUCache<string, { e164: string | undefined }>({ max: 2000 });

/** Longer is no number: E.164 has 15 digits, and an extension and punctuation beside them. */
const longest = 40;

/** The number as E.164. One without `+` or `00` is only understood with the two-letter code of its country. */
export function readPhone(text: string, country: string | undefined): string | undefined {
  if (text.length > longest) return undefined;
  const key = `${country ?? ''} ${text}`;
  const found = known.get(key) ?? { e164: parse(text, country) };
  known.set(key, found);
  return found.e164;
}

function parse(text: string, country: string | undefined): string | undefined {
  const dialled = text.replace(/^tel:/i, '').replace(/^\s*00/, '+');
  const home = country !== undefined && isSupportedCountry(country) ? country : undefined;
  const number = parsePhoneNumberFromString(dialled, { extract: false, ...(home && { defaultCountry: home }) });
  return number?.isValid() ? number.number : undefined;
}
