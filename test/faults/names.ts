// For `--import`: the name intercom.invalid, which no name server knows, is found as this machine as soon as the file
// NAME_FILE exists.
import dns from 'node:dns';
import { existsSync } from 'node:fs';

const file = process.env.NAME_FILE ?? '';
const real = dns.lookup;

dns.lookup = new Proxy(real, {
  apply(target, self, [name, ...rest]) {
    const known = name === 'intercom.invalid' && existsSync(file) ? '127.0.0.1' : name;
    return Reflect.apply(target, self, [known, ...rest]);
  },
});
