/**
 * ISO 4217: how many decimals a currency has. Most have two; a list that took two for all would charge a hundred
 * times the yen. UYW and CLF, the accounting units with four decimals, are no means of payment but may be priced in.
 */
const decimals: ReadonlyMap<string, number> = new Map([
  ...codes(0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'),
  ...codes(3, 'BHD IQD JOD KWD LYD OMR TND'),
  ...codes(4, 'CLF UYW'),
  ...codes(
    2,
    `AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
     CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK
     HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR
     MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
     SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG
     YER ZAR ZMW ZWG ZWL`,
  ),
]);

function codes(count: number, list: string): [string, number][] {
  return list.split(/\s+/).map((code) => [code, count]);
}

export type Currency = { code: string; decimals: number };

/** The currency of an ISO 4217 code in either case; `undefined` for anything else. */
export function readCurrency(value: unknown): Currency | undefined {
  if (typeof value !== 'string') return undefined;
  const code = value.trim().toUpperCase();
  const count = decimals.get(code);
  return count === undefined ? undefined : { code, decimals: count };
}
