import type { Attribute, DataType } from './attributes.ts';
import type { Scalar } from './contact.ts';
import { refuse, type Refusal } from './replies.ts';

/**
 * One custom attribute's value as it is stored, or why it is refused. That a wrong type is refused is inferred:
 * a strict simulator shows a mapping that does not look at the type. Texts longer than 255 are stored as they
 * are (reported: Intercom keeps them, but cannot filter by them).
 */
export function checkValue({ name, data_type: dataType, options }: Attribute, value: unknown): Scalar | Refusal {
  if (value === null) return null;
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    return refuse(400, 'parameter_invalid', `Custom attribute '${name}' must be a string, a number or a boolean`);
  }
  if (!FITS[dataType](value)) {
    return refuse(400, 'parameter_invalid', `Custom attribute '${name}' must be of type ${dataType}`);
  }
  if (options && !options.includes(String(value))) {
    return refuse(400, 'parameter_invalid', `'${value}' isn't an option of custom attribute '${name}'`);
  }
  return value;
}

const FITS: Record<DataType, (value: string | number | boolean) => boolean> = {
  string: (value) => typeof value === 'string',
  integer: Number.isInteger,
  float: (value) => typeof value === 'number',
  boolean: (value) => typeof value === 'boolean',
  // Unix seconds in every version (documented).
  date: Number.isInteger,
};
