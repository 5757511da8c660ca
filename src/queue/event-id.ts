/** Event ids sort as the events were accepted. */
export const idOf = (seq: number): string => `evt_${seq.toString(36).padStart(9, '0')}`;

/** The seq of an id; NaN where it is none. */
export const seqOf = (id: string): number =>
  /^evt_[0-9a-z]{9,11}$/.test(id) ? Number.parseInt(id.slice(4), 36) : Number.NaN;
