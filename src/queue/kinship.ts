import type { NewEvent } from './queue.ts';

/**
 * Which person an event belongs to, and which people turn out to be one.
 *
 * A person is `<installation>/<kind>:<value>`. A person without a userId (an email, a device) is joined to another
 * when one event carries both keys. Two userIds are never joined: an email stays with the first user that had it,
 * a device goes to the user that was seen on it last.
 */
export type Kinship = {
  /** The person of a new event; ties its other keys to that person. */
  resolve(event: NewEvent, join: (from: string, into: string) => void): string;
  /** The person that a key belongs to by now. */
  current(key: string): string;
};

export type Aliases = {
  /** Whom a second key was tied to, who may be tied to another in turn. */
  get(key: string): string | undefined;
  set(key: string, person: string): void;
  /** Before a device goes from one user to another: what it did until now belongs to whom it belonged to then. */
  onHandOver?(device: string, from: string): void;
};

export function createKinship(aliases: Aliases, ties: { devices: boolean }): Kinship {
  function current(key: string): string {
    if (isUser(key)) return key;
    let person = key;
    for (let next = aliases.get(person); next !== undefined && next !== person; next = aliases.get(person))
      person = next;
    return person;
  }

  function resolve(event: NewEvent, join: (from: string, into: string) => void): string {
    const { installation, userId, email } = event;
    const device = ties.devices ? event.anonymousId : null;
    if (userId !== null) {
      const person = `${installation}/user:${userId}`;
      if (email !== null) tie(`${installation}/email:${email}`, person, join);
      if (device !== null) tie(`${installation}/anon:${device}`, person, join);
      return person;
    }
    if (email !== null) {
      const person = current(`${installation}/email:${email}`);
      if (device !== null) tie(`${installation}/anon:${device}`, person, join);
      return person;
    }
    return current(`${installation}/anon:${event.anonymousId ?? ''}`);
  }

  function tie(key: string, person: string, join: (from: string, into: string) => void): void {
    const owner = current(key);
    if (owner === person) return;
    if (isUser(owner)) {
      if (isDevice(key) && isUser(person)) {
        aliases.onHandOver?.(key, owner);
        aliases.set(key, person);
      }
      return;
    }
    aliases.set(owner, person);
    if (owner !== key) aliases.set(key, person);
    join(owner, person);
  }

  return { resolve, current };
}

export const isUser = (person: string): boolean => person.startsWith('user:', person.indexOf('/') + 1);
export const isDevice = (person: string): boolean => person.startsWith('anon:', person.indexOf('/') + 1);
